package mysql

var WithName = withName

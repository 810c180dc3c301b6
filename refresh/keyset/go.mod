module github.com/rekey-go/rekey/refresh/keyset

go 1.25.0

require (
	github.com/go-jose/go-jose/v4 v4.1.8
	github.com/rekey-go/rekey v0.1.0
	github.com/stretchr/testify v1.12.1
	go.uber.org/goleak v1.3.0
)

require (
	github.com/fsnotify/fsnotify v1.10.1 // indirect
	github.com/robfig/cron/v3 v3.0.1 // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
	golang.org/x/sys v0.34.0 // indirect
)

replace github.com/rekey-go/rekey => ../..

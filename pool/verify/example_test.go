package verify_test

func closeExampleServer() int { return 0 }

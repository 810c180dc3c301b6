// Command kubelet writes volumes with the kubelet's own code: the writer that it has
// for Secrets, ConfigMaps and service account tokens, and that the CSI secrets store
// has taken over. It lives in a module of its own because Kubernetes brings two
// thousand packages.
//
// Each line of its input is a request, {"dir": …, "files": {name: content}}, and
// each line of its output the answer, a JSON string with what went wrong or nothing.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"k8s.io/kubernetes/pkg/volume/util"
)

func main() {
	if err := serve(json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// serve answers until there is no more to read.
func serve(in *json.Decoder, out *json.Encoder) error {
	for {
		var request struct {
			Dir   string
			Files map[string]string
		}
		err := in.Decode(&request)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		answer := ""
		if err := write(request.Dir, request.Files); err != nil {
			answer = err.Error()
		}
		if err := out.Encode(answer); err != nil {
			return err
		}
	}
}

func write(dir string, files map[string]string) error {
	writer, err := util.NewAtomicWriter(dir, "volume")
	if err != nil {
		return err
	}
	payload := make(map[string]util.FileProjection, len(files))
	for name, content := range files {
		payload[name] = util.FileProjection{Data: []byte(content), Mode: 0o440}
	}
	return writer.Write(payload, nil)
}

// Command loopcsi is a CSI driver whose volumes are files behind loop devices: each has a real size, fills up, grows
// while in use and honours fsGroup. It serves one node and keeps no state besides the files.
package main

import (
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"path/filepath"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	registration "k8s.io/kubelet/pkg/apis/pluginregistration/v1"
)

const driverName = "loop.csi.local"

func main() {
	d := &driver{}
	var registrationSocket string
	flag.StringVar(&d.dir, "volumes", "", "folder of the volume files")
	flag.StringVar(&d.socket, "socket", "", "socket of the CSI services")
	flag.StringVar(&registrationSocket, "registration-socket", "", "socket on which the kubelet finds the driver")
	flag.StringVar(&d.node, "node", "", "name of the node")
	flag.Parse()
	if d.dir == "" || d.socket == "" || registrationSocket == "" || d.node == "" {
		log.Fatal("-volumes, -socket, -registration-socket and -node are all needed")
	}
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		log.Fatal(err)
	}
	ended := make(chan error, 2)
	// The CSI services are served first: the kubelet calls them as soon as it has seen the registration.
	serve(d.socket, ended, func(s *grpc.Server) {
		csi.RegisterIdentityServer(s, identity{})
		csi.RegisterControllerServer(s, d)
		csi.RegisterNodeServer(s, d)
	})
	serve(registrationSocket, ended, func(s *grpc.Server) {
		registration.RegisterRegistrationServer(s, &registrar{socket: d.socket})
	})
	log.Fatal(<-ended)
}

// serve listens on a unix socket; the error that ends the server is sent to ended.
func serve(socket string, ended chan<- error, register func(*grpc.Server)) {
	if err := os.MkdirAll(filepath.Dir(socket), 0o755); err != nil {
		log.Fatal(err)
	}
	if err := os.Remove(socket); err != nil && !os.IsNotExist(err) {
		log.Fatal(err)
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer(grpc.UnaryInterceptor(logged))
	register(server)
	go func() { ended <- fmt.Errorf("%s: %w", socket, server.Serve(listener)) }()
}

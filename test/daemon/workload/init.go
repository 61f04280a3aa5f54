package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"unsafe"
)

// initialize is process 1 of a device: it gives the device an empty /run and a loopback interface, leads each ADDR=PATH from a TCP address
// in there to a unix socket outside (a network namespace does not reach the host's loopback, the file system does), says "ready", and
// buries the processes whose parents are gone. All of the device ends when it does.
func initialize(routes []string) {
	must(syscall.Mount("tmpfs", "/run", "tmpfs", 0, "mode=755"))
	must(raiseLoopback())
	for _, route := range routes {
		address, path, _ := strings.Cut(route, "=")
		listener, err := net.Listen("tcp", address)
		must(err)
		go serve(listener, path)
	}
	fmt.Println("ready")
	children := make(chan os.Signal, 64)
	signal.Notify(children, syscall.SIGCHLD)
	for range children {
		for {
			pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
			if pid <= 0 || err != nil {
				break
			}
		}
	}
}

func serve(listener net.Listener, path string) {
	for {
		inside, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			outside, err := net.Dial("unix", path)
			if err != nil {
				// As if nobody listened: a reset, not an orderly end.
				inside.(*net.TCPConn).SetLinger(0)
				inside.Close()
				return
			}
			go pass(inside.(*net.TCPConn), outside.(*net.UnixConn))
			pass(outside.(*net.UnixConn), inside.(*net.TCPConn))
		}()
	}
}

type half interface {
	io.ReadWriteCloser
	CloseWrite() error
}

func pass(from, to half) {
	_, err := io.Copy(to, from)
	if err == nil && to.CloseWrite() == nil {
		return
	}
	from.Close()
	to.Close()
}

// raiseLoopback is "ip link set lo up": netdevice(7), SIOCGIFFLAGS and SIOCSIFFLAGS.
func raiseLoopback() error {
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(socket)
	request := struct {
		name  [16]byte
		flags uint16
		_     [22]byte
	}{}
	copy(request.name[:], "lo")
	for _, call := range []struct {
		number uintptr
		before func()
	}{
		{syscall.SIOCGIFFLAGS, func() {}},
		{syscall.SIOCSIFFLAGS, func() { request.flags |= syscall.IFF_UP }},
	} {
		call.before()
		if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(socket), call.number, uintptr(unsafe.Pointer(&request))); errno != 0 {
			return errno
		}
	}
	return nil
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "workload init:", err)
		os.Exit(71)
	}
}

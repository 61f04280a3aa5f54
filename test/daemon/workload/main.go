// The only program of the daemon tests' images, and the first process of the namespaces in which they run a device. It is linked
// statically, so that an image consists of this one file.
//
//	workload sleep             until SIGTERM or SIGINT; then 128 + the signal's number
//	workload stubborn          ignores every signal that can be ignored
//	workload exit CODE MS      ends with CODE after MS milliseconds
//	workload allocate MIB      fills so much memory, then sleeps
//	workload listen PORT       answers each TCP connection with its host name, then sleeps on
//	workload init ADDR=PATH... first process of a device's namespaces (init.go)
package main

import (
	"fmt"
	"net"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

func main() {
	arguments := append(os.Args[1:], "", "", "")
	switch arguments[0] {
	case "sleep":
		sleep()
	case "stubborn":
		signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT)
		// A channel of nobody's would be a deadlock to Go's scheduler.
		for {
			time.Sleep(time.Hour)
		}
	case "exit":
		time.Sleep(time.Duration(number(arguments[2])) * time.Millisecond)
		os.Exit(number(arguments[1]))
	case "allocate":
		memory := make([]byte, number(arguments[1])<<20)
		for at := 0; at < len(memory); at += 4096 {
			memory[at] = 1
		}
		sleep()
	case "listen":
		go listen(arguments[1])
		sleep()
	case "init":
		initialize(os.Args[2:])
	default:
		fmt.Fprintf(os.Stderr, "workload: unknown: %q\n", os.Args[1:])
		os.Exit(64)
	}
}

func sleep() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	got := <-signals
	os.Exit(128 + int(got.(syscall.Signal)))
}

func listen(port string) {
	listener, err := net.Listen("tcp", ":"+port)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(70)
	}
	name, _ := os.Hostname()
	for {
		connection, err := listener.Accept()
		if err == nil {
			fmt.Fprintln(connection, name)
			connection.Close()
		}
	}
}

func number(text string) int {
	value, err := strconv.Atoi(text)
	if err != nil {
		fmt.Fprintf(os.Stderr, "workload: not a number: %q\n", text)
		os.Exit(64)
	}
	return value
}

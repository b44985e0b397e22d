// SPDX-License-Identifier: BSD-2-Clause

// calls PORT [CERTIFICATE]: the calls of test_grpc.py, both ends of them, with grpc-go; inside TLS
// with CERTIFICATE.pem and .key.
// calls PORT late: a call of each method that a line of standard input names; prints its status.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

// Of gRPC's tests for interoperability: special_status_message.
const special = "\t\ntest with whitespace\r\nand Unicode BMP \u263a and non-BMP \U0001f608\t\n"

// Messages are their bytes.
type plain struct{}

func (plain) Name() string                  { return "plain" }
func (plain) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }
func (plain) Unmarshal(data []byte, v any) error {
	*v.(*[]byte) = append([]byte{}, data...)
	return nil
}

func serve(_ any, stream grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(stream)
	method, _, _ = strings.Cut(method, "-") // many names, one method
	received := 0
	var last []byte
	for {
		var message []byte
		err := stream.RecvMsg(&message)
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		received++
		last = message
		if method == "/t.S/Both" {
			if err := stream.SendMsg(&message); err != nil {
				return err
			}
		}
	}
	answer := []byte(strconv.Itoa(received))
	switch method {
	case "/t.S/Unary":
		return stream.SendMsg(&last)
	case "/t.S/Fail":
		return status.Error(codes.NotFound, "no such th\u00efng 100%")
	case "/t.S/Special":
		return status.Error(codes.Unknown, special)
	case "/t.S/Slow":
		<-stream.Context().Done()
		return stream.Context().Err()
	case "/t.S/Server":
		for i := 0; i < 7; i++ {
			if err := stream.SendMsg(&answer); err != nil {
				return err
			}
		}
		return nil
	case "/t.S/Broken":
		for i := 0; i < 3; i++ {
			if err := stream.SendMsg(&answer); err != nil {
				return err
			}
		}
		return status.Error(codes.ResourceExhausted, "no more")
	case "/t.S/Client":
		return stream.SendMsg(&answer)
	case "/t.S/Both":
		return nil
	}
	return status.Error(codes.Unimplemented, "unknown method")
}

func say(method string, err error, sent, received int) {
	s := status.Convert(err)
	json.NewEncoder(os.Stdout).Encode([]any{method, uint32(s.Code()), s.Message(), sent, received})
}

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:"+os.Args[1])
	if err != nil {
		panic(err)
	}
	own, other := insecure.NewCredentials(), insecure.NewCredentials()
	late := len(os.Args) > 2 && os.Args[2] == "late"
	if len(os.Args) > 2 && !late {
		own, err = credentials.NewServerTLSFromFile(os.Args[2]+".pem", os.Args[2]+".key")
		if err != nil {
			panic(err)
		}
		other, err = credentials.NewClientTLSFromFile(os.Args[2]+".pem", "localhost")
		if err != nil {
			panic(err)
		}
	}
	server := grpc.NewServer(grpc.Creds(own), grpc.ForceServerCodec(plain{}), grpc.UnknownServiceHandler(serve))
	go server.Serve(listener)
	conn, err := grpc.NewClient(listener.Addr().String(),
		grpc.WithTransportCredentials(other),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(plain{})))
	if err != nil {
		panic(err)
	}
	all := context.Background()
	if late {
		for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
			request, response := []byte("hello"), []byte{}
			err := conn.Invoke(all, lines.Text(), &request, &response)
			fmt.Println(uint32(status.Code(err)))
		}
		return
	}
	unary := func(ctx context.Context, method string, size int) {
		request, response := make([]byte, size), []byte{}
		err := conn.Invoke(ctx, method, &request, &response)
		received := 0
		if err == nil {
			received = 1
		}
		say(method, err, 1, received)
	}
	stream := func(method string, count int, cancel bool) {
		ctx, give_up := context.WithCancel(all)
		defer give_up()
		s, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method)
		if err != nil {
			panic(err)
		}
		received := 0
		var message []byte
		for i := 0; i < count; i++ {
			message = []byte{byte(i)}
			s.SendMsg(&message)
			if method == "/t.S/Both" && s.RecvMsg(&message) == nil {
				received++
			}
		}
		if cancel {
			if count == 0 {
				time.Sleep(100 * time.Millisecond) // the head is out
			}
			give_up()
		} else {
			s.CloseSend()
		}
		for err == nil {
			if err = s.RecvMsg(&message); err == nil {
				received++
			}
		}
		if err == io.EOF {
			err = nil
		}
		say(method, err, count, received)
	}
	for _, size := range []int{0, 1, 100, 300000} {
		unary(all, "/t.S/Unary", size)
	}
	for _, method := range []string{"/t.S/Fail", "/t.S/Special", "/t.S/Missing", "/t.Other/Unary"} {
		unary(all, method, 0)
	}
	soon, cancel := context.WithTimeout(all, 300*time.Millisecond)
	unary(soon, "/t.S/Slow", 0)
	cancel()
	stream("/t.S/Server", 1, false)
	stream("/t.S/Broken", 1, false)
	stream("/t.S/Client", 5, false)
	stream("/t.S/Client", 0, true)
	stream("/t.S/Both", 0, false)
	stream("/t.S/Both", 4, false)
	stream("/t.S/Both", 2, true)
	time.Sleep(100 * time.Millisecond)
	conn.Close()
	server.GracefulStop()
}

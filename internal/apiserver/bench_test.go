package apiserver_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
)

// get asks as fast as it is answered, over kept connections.
func get(b *testing.B, server *apiservertest.Server, client *http.Client, path string) {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, server.URL+path, nil)
	if err != nil {
		b.Error(err)
		return
	}
	req.Header.Set("X-Auth-Token", server.Token)
	answer, err := client.Do(req)
	if err != nil {
		b.Error(err)
		return
	}
	defer answer.Body.Close()
	if n, err := io.Copy(io.Discard, answer.Body); err != nil || answer.StatusCode != http.StatusOK || n == 0 {
		b.Errorf("%s: %d, %d bytes, %v", path, answer.StatusCode, n, err)
	}
}

func benchmarkClient() *http.Client {
	return &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
}

func BenchmarkGetDevice(b *testing.B) {
	server := apiservertest.Start(b, apiservertest.Options{})
	device := activeDevice(b, server.Client(b), server.ProjectID, order("bench"))
	client := benchmarkClient()
	for name, query := range map[string]string{"plain": "", "include": "?include=project,ip_addresses.parent_block"} {
		b.Run(name, func(b *testing.B) {
			b.SetParallelism(4)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					get(b, server, client, "/devices/"+device.ID+query)
				}
			})
		})
	}
}

func BenchmarkListDevices100(b *testing.B) {
	server := apiservertest.Start(b, apiservertest.Options{})
	c := server.Client(b)
	for i := range 100 {
		if _, err := c.CreateDevice(context.Background(), server.ProjectID, order(fmt.Sprintf("bench-%d", i))); err != nil {
			b.Fatal(err)
		}
	}
	client := benchmarkClient()
	b.ResetTimer()
	b.SetParallelism(4)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			get(b, server, client, "/projects/"+server.ProjectID+"/devices?per_page=100")
		}
	})
}

// BenchmarkCreateDevice measures a device from the request until it is
// durable; its installation goes on beside that.
func BenchmarkCreateDevice(b *testing.B) {
	server := apiservertest.Start(b, apiservertest.Options{})
	c := server.Client(b)
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := c.CreateDevice(context.Background(), server.ProjectID, order("bench")); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

package infrastructure

import (
	"net/http"

	"github.com/packetyard/packetyard/pkg/packet"
)

// Through has a Connector's clients send their requests by a network that can break, each once.
func (c *Connector) Through(network http.RoundTripper) *Connector {
	c.newClient = func(config packet.Config) (*packet.Client, error) {
		config.HTTPClient, config.Retries, config.QPS = &http.Client{Transport: network}, -1, -1
		return packet.NewClient(config)
	}
	return c
}

package main

import (
	"strings"
	"testing"

	"github.com/packetyard/packetyard/internal/apiserver"
)

func TestPage(t *testing.T) {
	doc, err := document(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	routes := apiserver.Routes()
	page, err := render(doc, routes)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		"Of the 220 operations",
		"| ✓ | `createDevice` | `POST /projects/{id}/devices` |",
		"| 501 | `getInvoiceById` | `GET /invoices/{id}` |",
		"[BGP](#bgp)",
	} {
		if !strings.Contains(string(page), text) {
			t.Errorf("the page lacks %q", text)
		}
	}
	if _, err := render(doc, routes[1:]); err == nil || !strings.Contains(err.Error(), "not in the table") {
		t.Errorf("without %s: %v", routes[0].Operation, err)
	}
	if _, err := render(doc, append(routes, apiserver.Route{Method: "GET", Path: "/made-up"})); err == nil {
		t.Error("an operation that the document does not have is no error")
	}
}

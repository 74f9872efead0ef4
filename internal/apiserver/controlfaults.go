package apiserver

import (
	"net/http"
	"strconv"

	"github.com/google/uuid"
)

// What the control routes answer with.
type (
	faultList struct {
		Faults []activeFault `json:"faults"`
	}
	requestList struct {
		Requests []pastRequest `json:"requests"`
	}
	countList struct {
		Counts []requestCount `json:"counts"`
		Total  int            `json:"total"`
	}
)

func (c *control) listFaults(*http.Request) (any, error) {
	return faultList{c.server.edge.faults.list()}, nil
}

// addFault takes a rule, which counts from the next request on.
func (c *control) addFault(req *http.Request) (any, error) {
	var rule fault
	if err := readControl(req, &rule); err != nil {
		return nil, err
	}
	operations := map[string]bool{}
	for _, route := range Routes() {
		operations[route.Operation] = true
	}
	if err := rule.validate(operations); err != nil {
		return nil, err
	}
	if rule.ID == "" {
		rule.ID = uuid.NewString()
	}
	return rule, c.server.edge.faults.add(rule)
}

func (c *control) clearFaults(*http.Request) (any, error) {
	c.server.edge.faults.clear()
	return nil, nil
}

func (c *control) deleteFault(req *http.Request) (any, error) {
	if !c.server.edge.faults.remove(req.PathValue("id")) {
		return nil, errNotFound()
	}
	return nil, nil
}

// defaultRequests is how many requests are listed if nobody says how many.
const defaultRequests = 100

func (c *control) listRequests(req *http.Request) (any, error) {
	query, most := req.URL.Query(), defaultRequests
	if text := query.Get("limit"); text != "" {
		number, err := strconv.Atoi(text)
		if err != nil || number < 1 || number > historySize {
			return nil, refuse(http.StatusUnprocessableEntity, "limit %q is not a number from 1 to %d", shortened(text), historySize)
		}
		most = number
	}
	return requestList{c.server.edge.history.list(query.Get("operation"), query.Get("caller"), most)}, nil
}

func (c *control) countRequests(req *http.Request) (any, error) {
	query := req.URL.Query()
	list := countList{Counts: c.server.edge.history.count(query.Get("operation"), query.Get("caller"))}
	for _, count := range list.Counts {
		list.Total += count.Count
	}
	return list, nil
}

func (c *control) clearRequests(*http.Request) (any, error) {
	c.server.edge.history.clear()
	return nil, nil
}

func (c *control) getClock(*http.Request) (any, error) {
	return c.server.clock.state(), nil
}

func (c *control) turnClock(req *http.Request) (any, error) {
	var change clockChange
	if err := readControl(req, &change); err != nil {
		return nil, err
	}
	if err := c.server.clock.change(change); err != nil {
		return nil, err
	}
	return c.server.clock.state(), nil
}

package apiserver

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/packetyard/packetyard/internal/apiserver/lifecycle"
	"github.com/packetyard/packetyard/internal/apiserver/store"
)

// auditLog keeps a line of JSON for every request that changes something, or
// that was refused for whom it came from. It says who did what to which
// object with what result, and never what was in the request or its answer:
// there may be secrets in both.
type auditLog struct {
	clock  lifecycle.Clock
	logger *slog.Logger
	failed func()

	mu  sync.Mutex
	out io.Writer
}

// auditRecord is a line of the audit log.
type auditRecord struct {
	Time      time.Time `json:"time"`
	RequestID string    `json:"requestID"`
	Operation string    `json:"operation"`
	Method    string    `json:"method"`
	// Object is the ID in the path, Created that of what was made.
	Object  string `json:"object,omitempty"`
	Created string `json:"created,omitempty"`
	Status  int    `json:"status"`
	Result  string `json:"result"`
	// Token is the token's ID, not the token.
	Token         string `json:"token,omitempty"`
	User          string `json:"user,omitempty"`
	Project       string `json:"project,omitempty"`
	RemoteAddress string `json:"remoteAddress"`
	UserAgent     string `json:"userAgent,omitempty"`
	// Milliseconds is how long the request took.
	Milliseconds float64 `json:"milliseconds"`
}

// The values of auditRecord.Result.
const (
	auditDone    = "done"
	auditRefused = "refused"
	auditFailed  = "failed"
)

// write adds a request to the log, if it belongs there.
func (a *auditLog) write(x *exchange, req *http.Request, answer response) {
	if a == nil {
		return
	}
	denied := answer.status == http.StatusUnauthorized || answer.status == http.StatusForbidden
	if x.op.reads && !denied {
		return
	}
	record := auditRecord{
		RequestID: x.id,
		Operation: x.op.Operation,
		Method:    req.Method,
		Status:    answer.status,
		Created:   answer.location[strings.LastIndexByte(answer.location, '/')+1:],
	}
	if x.op.parameter != "" {
		record.Object = shortened(req.PathValue(x.op.parameter))
	}
	a.add(record, req, x.token, x.began)
}

// add completes a record and writes it.
func (a *auditLog) add(record auditRecord, req *http.Request, token *store.Token, began time.Time) {
	if a == nil {
		return
	}
	record.Time = a.clock.Now().UTC()
	record.RemoteAddress = req.RemoteAddr
	record.UserAgent = shortened(req.UserAgent())
	record.Milliseconds = float64(time.Since(began).Microseconds()) / 1000
	switch {
	case record.Status < 400:
		record.Result = auditDone
	case record.Status < 500:
		record.Result = auditRefused
	default:
		record.Result = auditFailed
	}
	if token != nil {
		record.Token, record.User, record.Project = token.ID, token.UserID, token.ProjectID
	}
	line, err := json.Marshal(record)
	if err == nil {
		a.mu.Lock()
		_, err = a.out.Write(append(line, '\n'))
		a.mu.Unlock()
	}
	if err != nil {
		// What was done is done; that nobody can prove it must be noticed.
		a.failed()
		a.logger.Error("The audit log was not written.", "operation", record.Operation, "request", record.RequestID, "error", err)
	}
}

package packet

import (
	"context"
	"net/http"
	"net/url"
)

// The states of a Batch.
const (
	BatchQueued    = "queued"
	BatchCompleted = "completed"
	BatchFailed    = "failed"
)

// Batch is a number of devices that were asked for at once.
type Batch struct {
	ID   string `json:"id"`
	Href string `json:"href,omitempty"`
	// State is one of the Batch constants.
	State    string `json:"state"`
	Quantity int    `json:"quantity"`
	// ErrorMessages say why a batch failed. Devices that were made before
	// that stay.
	ErrorMessages []string   `json:"error_messages,omitempty"`
	Devices       []Href     `json:"devices"`
	Project       *Href      `json:"project,omitempty"`
	CreatedAt     *Timestamp `json:"created_at,omitempty"`
	UpdatedAt     *Timestamp `json:"updated_at,omitempty"`
}

// BatchList is the answer to listing and to creating batches, which has no
// pages.
type BatchList struct {
	Batches []Batch `json:"batches"`
}

// BatchCreate asks for Quantity devices that differ in nothing but their host
// names: those of Hostnames, one each, or Hostname (or the only one of
// Hostnames), in which {{index}} stands for 01, 02 and so on.
type BatchCreate struct {
	DeviceCreate
	Quantity  int      `json:"quantity,omitempty"`
	Hostnames []string `json:"hostnames,omitempty"`
}

// CreateDeviceBatch rents many devices (createDeviceBatch).
func (c *Client) CreateDeviceBatch(ctx context.Context, projectID string, batches ...BatchCreate) ([]Batch, error) {
	if err := checkID("project", projectID); err != nil {
		return nil, err
	}
	body := struct {
		Batches []BatchCreate `json:"batches"`
	}{batches}
	list, err := send(ctx, c, request{
		operation: "createDeviceBatch", method: http.MethodPost, path: "/projects/" + projectID + "/devices/batch", body: body,
	}, func(*BatchList) string { return "batches" })
	if err != nil {
		return nil, err
	}
	return list.Batches, nil
}

// Batch reads a batch (findBatchById).
func (c *Client) Batch(ctx context.Context, id string, options ...QueryOption) (*Batch, error) {
	if err := checkID("batch", id); err != nil {
		return nil, err
	}
	return get(ctx, c, "findBatchById", "/batches/"+id, query(options), func(b *Batch) string { return b.ID })
}

// DeleteBatch forgets a batch, and with devices gives these back (deleteBatch).
func (c *Client) DeleteBatch(ctx context.Context, id string, devices bool) error {
	if err := checkID("batch", id); err != nil {
		return err
	}
	q := url.Values{}
	if devices {
		q.Set("remove_associated_instances", "true")
	}
	return c.do(ctx, request{operation: "deleteBatch", method: http.MethodDelete, path: "/batches/" + id, query: q})
}

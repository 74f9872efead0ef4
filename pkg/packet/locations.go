package packet

import (
	"context"
	"encoding/json"
	"errors"
)

// Metro is a metropolitan area with one or more facilities, for example da.
type Metro struct {
	ID      string `json:"id,omitempty"`
	Href    string `json:"href,omitempty"`
	Code    string `json:"code,omitempty"`
	Name    string `json:"name,omitempty"`
	Country string `json:"country,omitempty"`
}

// MetroList is the answer to listing metros, which has no pages.
type MetroList struct {
	Metros []Metro `json:"metros"`
}

// Facility is a data centre, for example da11.
type Facility struct {
	ID       string           `json:"id,omitempty"`
	Href     string           `json:"href,omitempty"`
	Code     string           `json:"code,omitempty"`
	Name     string           `json:"name,omitempty"`
	Features []string         `json:"features,omitempty"`
	IPRanges []string         `json:"ip_ranges,omitempty"`
	Address  *FacilityAddress `json:"address,omitempty"`
	Metro    *Metro           `json:"metro,omitempty"`
}

// FacilityList is the answer to listing facilities, which has no pages.
type FacilityList struct {
	Facilities []Facility `json:"facilities"`
}

// FacilityAddress is where a facility stands. Without its first three fields
// generated clients refuse it.
type FacilityAddress struct {
	Address string `json:"address"`
	ZipCode string `json:"zip_code"`
	Country string `json:"country"`
	City    string `json:"city,omitempty"`
	State   string `json:"state,omitempty"`
}

// FacilityAny lets the API choose a facility.
const FacilityAny = "any"

// FacilityCodes is a list of facilities in order of preference. On the wire
// it is a list or a single string, and clients send an empty string for none.
type FacilityCodes []string

// MarshalJSON writes a single code as a string, which every version of the
// API takes.
func (f FacilityCodes) MarshalJSON() ([]byte, error) {
	if len(f) == 1 {
		return json.Marshal(f[0])
	}
	return json.Marshal([]string(f))
}

// UnmarshalJSON implements json.Unmarshaler.
func (f *FacilityCodes) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*f = nil
		if one != "" {
			*f = FacilityCodes{one}
		}
		return nil
	}
	var many []string
	if json.Unmarshal(data, &many) != nil {
		return errors.New("facility is neither a string nor a list of strings")
	}
	*f = many
	return nil
}

// Metros lists all metros.
func (c *Client) Metros(ctx context.Context) ([]Metro, error) {
	return listAll(ctx, c, listing[MetroList, Metro]{
		operation: "findMetros",
		path:      "/locations/metros",
		items:     func(l *MetroList) ([]Metro, *Meta) { return l.Metros, nil },
		id:        func(m *Metro) string { return m.ID },
	})
}

// Facilities lists all facilities. The API has deprecated them in favour of
// metros, and devices still have one.
func (c *Client) Facilities(ctx context.Context, options ...QueryOption) ([]Facility, error) {
	return listAll(ctx, c, listing[FacilityList, Facility]{
		operation: "findFacilities",
		path:      "/facilities",
		query:     query(options),
		items:     func(l *FacilityList) ([]Facility, *Meta) { return l.Facilities, nil },
		id:        func(f *Facility) string { return f.ID },
	})
}

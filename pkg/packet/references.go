package packet

// Href points at another object of the API. Sources write it with or without
// the /metal/v1 prefix; ID gives the part that identifies the object.
type Href struct {
	Href string `json:"href"`
}

// ID is the last element of the reference's path, which is the UUID of the
// object it points at. It is empty for an empty reference.
func (h Href) ID() string {
	return lastPathElement(h.Href)
}

// UserLite is a user as other objects mention one.
type UserLite struct {
	ID        string     `json:"id"`
	ShortID   string     `json:"short_id"`
	FullName  string     `json:"full_name,omitempty"`
	Email     string     `json:"email,omitempty"`
	CreatedAt *Timestamp `json:"created_at,omitempty"`
	UpdatedAt *Timestamp `json:"updated_at,omitempty"`
	Href      string     `json:"href,omitempty"`
}

func lastPathElement(href string) string {
	end := len(href)
	for i := range len(href) {
		if href[i] == '?' || href[i] == '#' {
			end = i
			break
		}
	}
	for end > 0 && href[end-1] == '/' {
		end--
	}
	start := end
	for start > 0 && href[start-1] != '/' {
		start--
	}
	return href[start:end]
}

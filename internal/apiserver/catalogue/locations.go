package catalogue

import "github.com/packetyard/packetyard/pkg/packet"

// metros are the last 24 of the service, with their real IDs. The first
// facility of a metro is where a device goes that asked for the metro only.
var metros = []struct {
	code, name, country, id string
	facilities              []string
}{
	{"am", "Amsterdam", "NL", "108b2cfb-246b-45e3-885a-bf3e82fce1a0", []string{"am6", "ams1"}},
	{"at", "Atlanta", "US", "a04e45e4-4356-458c-b25a-b72cc54bdad1", []string{"at4"}},
	{"ch", "Chicago", "US", "60666d92-e00f-43a8-a9f8-fddf665390ca", []string{"ch3"}},
	{"da", "Dallas", "US", "d3d6b29f-042d-43b7-b3ce-0bf53d5754ca", []string{"da11", "dfw2"}},
	{"dc", "Washington DC", "US", "96a57b6d-c62c-41b5-ab8e-f8d63a7f9887", []string{"dc13", "iad1", "iad2"}},
	{"dt", "Detroit", "US", "583a553a-465a-49f3-a8a9-5fa6b44aa519", []string{"dt1"}},
	{"fr", "Frankfurt", "DE", "b1ac82b2-616c-4405-9424-457ef6edf9ae", []string{"fr2"}},
	{"hk", "Hong Kong", "HK", "d50fd052-34ec-4977-a173-ad6f9266995d", []string{"hk2"}},
	{"ho", "Houston", "US", "56c55e99-8125-4f65-af21-a8682e033804", []string{"ho1"}},
	{"kc", "Kansas City", "US", "91fa81e8-db1a-4da1-b218-7beeaab6f8bc", []string{"kc1"}},
	{"la", "Los Angeles", "US", "bb059cc0-0b2a-4f5b-8a55-219e6b4240da", []string{"la4"}},
	{"ld", "London", "GB", "5f1d3910-2059-4737-8e7d-d4907cfbf27f", []string{"ld7"}},
	{"mr", "Marseille", "FR", "833225d2-a35a-49cf-a67c-1f84d5d11654", []string{"mr1"}},
	{"ny", "New York", "US", "932eecda-6808-44b9-a3be-3abef49796ef", []string{"ny5", "ewr1", "ny7"}},
	{"pa", "Paris", "FR", "f2f0f0b3-5359-4296-a402-56abad842f56", []string{"pa4"}},
	{"pi", "Pittsburgh", "US", "543f8059-65f6-4c2c-b7ad-6dac5eb87085", []string{"pi1"}},
	{"px", "Phoenix", "US", "0446ac38-aae0-45f5-959c-54d26c4fc3c7", []string{"px1"}},
	{"se", "Seattle", "US", "b8ffa6c9-3da2-4cf1-b48d-049002b208fe", []string{"se4"}},
	{"sg", "Singapore", "SG", "f6ada324-8226-4bfc-99a8-453d47caf2dc", []string{"sg1"}},
	{"sl", "Seoul", "KR", "d2a8e94f-2b42-4440-9c8e-8ef01defcd27", []string{"sl1"}},
	{"sv", "Silicon Valley", "US", "2991b022-b8c4-497e-8db7-5a407c3a209b", []string{"sv15", "sjc1"}},
	{"sy", "Sydney", "AU", "d2f09853-a1aa-4b29-aa9d-682462fd8d1d", []string{"sy4"}},
	{"tr", "Toronto", "CA", "5afb3744-f80d-4b49-bf21-50ede9252cfd", []string{"tr2"}},
	{"ty", "Tokyo", "JP", "5f72cbf6-96e4-44f2-ae60-213888fa2b9f", []string{"ty11"}},
}

// facilityIDs are the real ones that are known.
var facilityIDs = map[string]string{
	"ams1": "8e6470b3-b75e-47d1-bb93-45b225750975",
	"ewr1": "e1e9c52e-a0bc-4117-b996-0fc94843ea09",
	"sjc1": "2b70eb8f-fa18-47c0-aba7-222a842362fd",
}

func (c *Catalogue) addLocations() {
	for _, m := range metros {
		metro := packet.Metro{ID: m.id, Code: m.code, Name: m.name, Country: m.country}
		c.Metros = append(c.Metros, metro)
		for _, code := range m.facilities {
			facilityID := facilityIDs[code]
			if facilityID == "" {
				facilityID = id("facilities", code)
			}
			c.Facilities = append(c.Facilities, packet.Facility{
				ID:       facilityID,
				Code:     code,
				Name:     m.name + " " + code,
				Features: []string{"baremetal", "layer_2", "global_ipv4", "backend_transfer"},
				IPRanges: []string{"198.18.0.0/15", "2001:db8::/32"},
				Address:  &packet.FacilityAddress{Address: m.name, City: m.name, Country: m.country},
				Metro:    &metro,
			})
		}
	}
}

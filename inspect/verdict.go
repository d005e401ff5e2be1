package inspect

// Verdict is what is made of an attempt: which fault, whose, how sure, and what
// to do next. The fields of the log are promises; the wording is not.
type Verdict struct {
	Outcome   Outcome   `json:"outcome"`
	Layer     Layer     `json:"layer"`
	Step      Step      `json:"step,omitempty"`
	Fault     string    `json:"fault"`
	Blame     Blame     `json:"blame"`
	Certainty Certainty `json:"certainty,omitempty"`
	// HTTPReached: an HTTP response existed. Below HTTP there is no status code,
	// 443 or other. Absent where it cannot be seen.
	HTTPReached *bool  `json:"http_reached,omitempty"`
	Title       string `json:"title"`
	Why         string `json:"why,omitempty"`
	Fix         Fix    `json:"fix,omitzero"`
	// Also are consequences and side findings.
	Also  []Also `json:"also,omitempty"`
	Codes Codes  `json:"codes,omitzero"`
}

// Fix is the next step, for the person and for the server's administrator.
type Fix struct {
	User   string `json:"user,omitempty"`
	Server string `json:"server,omitempty"`
}

// Also is a fault that is not the root.
type Also struct {
	Fault string `json:"fault"`
	Layer Layer  `json:"layer"`
	Why   string `json:"why,omitempty"`
}

// Codes are the names that others give to the fault.
type Codes struct {
	// Chromium and Firefox are what a direct visit shows; the …Shown ones are
	// what the visit through this proxy shows.
	Chromium      string `json:"chromium,omitempty"`
	ChromiumShown string `json:"chromium_shown,omitempty"`
	Firefox       string `json:"firefox,omitempty"`
	FirefoxShown  string `json:"firefox_shown,omitempty"`
	Curl          string `json:"curl,omitempty"`
	NEL           string `json:"nel,omitempty"`          // W3C Network Error Logging type
	ProxyStatus   string `json:"proxy_status,omitempty"` // RFC 9209 error type
	Browser       string `json:"browser,omitempty"`      // told by the browser itself
}

// Fault ids that are not rows of the catalogue.
const (
	FaultOK          = "ok"
	FaultUnexplained = "unexplained"
)

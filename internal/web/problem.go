package web

import (
	"encoding/json"
	"net/http"
	"strings"
)

// Problem is an error as the API says it: problem+json of RFC 9457, with what
// the caller may have meant.
type Problem struct {
	Type   string `json:"type,omitempty"`
	Title  string `json:"title,omitempty"`
	Status int    `json:"status,omitempty"`
	Detail string `json:"detail,omitempty"`
	// Near are known names close to one that is not.
	Near []string `json:"near,omitempty"`
	// Errors say which parts of a request are wrong.
	Errors []ProblemPart `json:"errors,omitempty"`
}

// ProblemPart is one wrong part of a request.
type ProblemPart struct {
	Message  string `json:"message,omitempty"`
	Location string `json:"location,omitempty"` // such as query.limit
}

// Error gives the detail, its parts and what is near, on one line.
func (p *Problem) Error() string {
	var b strings.Builder
	b.WriteString(p.Detail)
	for i, part := range p.Errors {
		b.WriteString(map[bool]string{true: ": ", false: "; "}[i == 0])
		if part.Location != "" {
			b.WriteString(part.Location + ": ")
		}
		b.WriteString(part.Message)
	}
	if len(p.Near) > 0 {
		b.WriteString("; near: " + strings.Join(p.Near, ", "))
	}
	return b.String()
}

// GetStatus gives the HTTP status; huma asks for it.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType gives the media type of the body; huma asks for it.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

func problem(status int, detail string) *Problem {
	return &Problem{Title: http.StatusText(status), Status: status, Detail: detail}
}

func notFound(detail string, near []string) *Problem {
	p := problem(http.StatusNotFound, detail)
	p.Near = near
	return p
}

// unavailable says that a part is missing, which only happens when the store
// was opened without the daemon.
func unavailable(what string) *Problem {
	return problem(http.StatusServiceUnavailable, what+" needs the daemon; start it with: basewatch run")
}

func (p *Problem) write(w http.ResponseWriter) {
	body, err := json.Marshal(p)
	if err != nil {
		http.Error(w, p.Detail, p.Status)
		return
	}
	w.Header().Set("Content-Type", p.ContentType(""))
	w.WriteHeader(p.Status)
	_, _ = w.Write(append(body, '\n'))
}

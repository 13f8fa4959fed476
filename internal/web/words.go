package web

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

func stretchText(h StatusRegistry) string {
	return fmt.Sprintf("%d targets ask for %s looks a minute and %s are allowed, so intervals are stretched %.1f times; raise per_minute under [registry.%q] or poll less often",
		h.Targets, perMinute(h.PerMinute), perMinute(h.Ceiling), h.Stretch, h.Host)
}

func quotaText(h StatusRegistry) string {
	return fmt.Sprintf("pull budget %d/%d in %s: HEADs go on, details wait", h.Remaining, h.Limit, time.Duration(h.WindowSeconds)*time.Second)
}

func perMinute(n float64) string {
	return strconv.FormatFloat(math.Round(n*10)/10, 'f', -1, 64)
}

func deadText(n int) string {
	if n == 1 {
		return "1 was given up and not told"
	}
	return strconv.Itoa(n) + " were given up and not told"
}

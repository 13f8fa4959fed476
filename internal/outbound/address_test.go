package outbound

import (
	"net/netip"
	"testing"
)

func TestReachOfAddress(t *testing.T) {
	for addr, want := range map[string]reach{
		"93.184.216.34":          public,
		"2606:2800:220:1::1":     public,
		"127.0.0.1":              loopback,
		"127.8.8.8":              loopback,
		"::1":                    loopback,
		"::ffff:127.0.0.1":       loopback,
		"10.1.2.3":               private,
		"172.16.0.1":             private,
		"192.168.1.1":            private,
		"100.64.0.1":             private,
		"fc00::1":                private,
		"169.254.169.254":        linkLocal,
		"::ffff:169.254.169.254": linkLocal,
		"64:ff9b::a9fe:a9fe":     linkLocal,
		"64:ff9b::5db8:d822":     public,
		"fe80::1%eth0":           linkLocal,
		"fd00:ec2::254":          linkLocal,
		"100.100.100.200":        linkLocal,
		"192.0.0.192":            linkLocal,
		"168.63.129.16":          linkLocal,
		"fd20:ce::254":           linkLocal,
		"2002:a9fe:a9fe::1":      linkLocal,
		"2002:7f00:1::":          loopback,
		"::a9fe:a9fe":            linkLocal,
		"64:ff9b:1::a9fe:a9fe":   private,
		"198.18.0.1":             private,
		"0.0.0.0":                never,
		"0.1.2.3":                never,
		"::":                     never,
		"224.0.0.1":              never,
		"ff02::1":                never,
		"255.255.255.255":        never,
	} {
		if got := reachOf(netip.MustParseAddr(addr)); got != want {
			t.Errorf("reachOf(%s) = %s, want %s", addr, got, want)
		}
	}
}

func TestWhereAHostMaySendUs(t *testing.T) {
	all := []reach{public, private, loopback, linkLocal, never}
	for own, want := range map[reach][]bool{
		unknownReach: {true, false, false, false, false},
		public:       {true, false, false, false, false},
		private:      {true, true, false, false, false},
		loopback:     {true, true, true, false, false},
		linkLocal:    {true, true, false, true, false},
	} {
		for i, r := range all {
			if got := admits(own, r, false); got != want[i] {
				t.Errorf("admits(own %s, %s) = %t", own, r, got)
			}
		}
	}
	for _, r := range all {
		if got := admits(public, r, true); got != (r != never) {
			t.Errorf("the user's own host at a %s address: %t", r, got)
		}
	}
}

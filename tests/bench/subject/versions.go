package subject

import "context"

// number is the first version number in what a program says of itself. It fails if there is none; how the program ends
// does not matter, for asking wrk is a mistake to wrk.
const number = ` 2>&1 | grep -o '[0-9][^ ]*' | head -n1 | grep .`

// tools tell their version by these commands.
var tools = map[string]string{
	"docker":    "docker version --format '{{.Server.Version}}'",
	"falcon":    "falcon version | cut -d' ' -f2 | head -n1", // may be a commit
	"sockperf":  "sockperf --version" + number,
	"wrk":       "wrk -v" + number,
	"nginx":     "nginx -v" + number,
	"memcached": "memcached -V" + number,
	"iperf3":    "iperf3 --version" + number,
}

// Versions tells what is compared: engine, falcon, and tools, by name. Of one that does not tell, it has the reason.
func (b *Bed) Versions(ctx context.Context) map[string]string {
	versions := map[string]string{}
	for name, command := range tools {
		version, err := b.Receiver.Exec(ctx, "sh", "-c", command)
		if err != nil {
			version = err.Error()
		}
		versions[name] = version
	}
	return versions
}

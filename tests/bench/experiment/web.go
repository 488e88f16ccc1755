package experiment

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"falcon/tests/bench/subject"
	"falcon/tests/lab"
)

// web measures a web server that is asked for small files by many connections in a closed loop: nginx with one worker in
// the receiver's place, wrk in the sender's. Traffic is end to end and goes both ways. On two cores the client shares its
// core with the NIC, and so has part in what is measured, for all subjects alike.
func web(ctx context.Context, e *Env) (failure error) {
	if err := writeSite(ctx, e.Bed.Receiver); err != nil {
		return fmt.Errorf("write site: %w", err)
	}
	defer func() { failure = errors.Join(failure, removeSite(context.WithoutCancel(ctx), e.Bed.Receiver)) }()
	return e.Rounds(ctx, webTurn)
}

// webCase is what is asked for at a time.
type webCase struct{ kilobytes, connections int }

// webCases of the full and the short form.
func webCases(e *Env) []webCase {
	return Pick(e, []webCase{{1, 10}, {1, 100}, {10, 10}}, []webCase{{1, 10}, {1, 100}})
}

func webTurn(ctx context.Context, c *Cell) (failure error) {
	p, err := c.path(ctx, 0, webPort)
	if err != nil {
		return err
	}
	s, err := c.startServer(ctx, p.To, p.From, webPort, "nginx", "-e", "stderr", "-c", siteDir+"/nginx.conf")
	if err != nil {
		return err
	}
	defer func() { failure = errors.Join(failure, s.stop()) }()
	for _, w := range webCases(c.Env) {
		if err := c.measureWeb(ctx, p.From, s, w); err != nil {
			return fmt.Errorf("%d KB, %d connections: %w", w.kilobytes, w.connections, err)
		}
	}
	return nil
}

func (c *Cell) measureWeb(ctx context.Context, client subject.Place, s *server, w webCase) error {
	seconds := Pick(c.Env, 2, 1)
	if c.Warmup() {
		seconds = 1
	}
	out, err := client.Exec(ctx, c.Bed.Cores.Client, "wrk", "--latency", "--threads", "1",
		"--connections", strconv.Itoa(w.connections), "--duration", fmt.Sprintf("%ds", seconds),
		fmt.Sprintf("http://%v/%d", s.addr, w.kilobytes))
	if err != nil {
		return err
	}
	r, err := parseWrk(out)
	if err != nil {
		return err
	}
	parameter := fmt.Sprintf("%d KB, %d connections", w.kilobytes, w.connections)
	c.Add(Metric{Parameter: parameter, Name: "operations", Unit: "1/s", HigherIsBetter: true}, r.Rate)
	for name, d := range map[string]time.Duration{"average": r.Mean, "p50": r.P50, "p99": r.P99} {
		c.Add(Metric{Parameter: parameter, Name: "response time, " + name, Unit: "us"}, micros(d))
	}
	return nil
}

const (
	webPort = firstPort
	siteDir = "/tmp/bench-site" // in the host, and so gone with it
)

// siteConfig lets nginx run in the foreground and off all paths that it was built with. A connection lasts for all of
// a measurement, and nothing is logged.
const siteConfig = `
daemon off;
user root;
worker_processes 1;
pid DIR/pid;
error_log stderr;
events { worker_connections 1024; }
http {
	access_log off;
	keepalive_requests 1000000000;
	open_file_cache max=16;
	client_body_temp_path DIR/tmp;
	proxy_temp_path DIR/tmp;
	fastcgi_temp_path DIR/tmp;
	uwsgi_temp_path DIR/tmp;
	scgi_temp_path DIR/tmp;
	server {
		listen PORT;
		root DIR/files;
	}
}
`

// writeSite writes the server's configuration and its files, which are named after their size in KB.
func writeSite(ctx context.Context, h *lab.Host) error {
	config := strings.NewReplacer("DIR", siteDir, "PORT", strconv.Itoa(webPort)).Replace(siteConfig)
	script := `mkdir -p "$0/files" && cat >"$0/nginx.conf" &&
		for kb in 1 10; do head -c "${kb}K" /dev/zero >"$0/files/$kb" || exit; done`
	_, err := h.ExecInput(ctx, strings.NewReader(config), "sh", "-c", script, siteDir)
	return err
}

func removeSite(ctx context.Context, h *lab.Host) error {
	_, err := h.Exec(ctx, "rm", "-r", siteDir)
	return err
}

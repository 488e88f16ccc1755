package driver

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/sirupsen/logrus"

	"falcon/datapath"
)

// Paths that NewMetrics answers.
const (
	MetricsPath = "/metrics"
	HealthPath  = "/healthz"
	ReadyPath   = "/readyz"
)

// scrapeLimit bounds what a scrape may wait for: the store is asked whether it answers.
const scrapeLimit = 5 * time.Second

// NewMetrics is what monitoring asks, by HTTP: metrics for Prometheus, whether the process is alive, and whether it is ready: the
// store was read and the kernel follows it.
func NewMetrics(d *Driver, requests *Requests) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		stateCollector{d}, requests)
	mux := http.NewServeMux()
	mux.Handle("GET "+MetricsPath, promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		ErrorLog: scrapeErrors{d.log}, ErrorHandling: promhttp.ContinueOnError}))
	mux.HandleFunc("GET "+HealthPath, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	mux.HandleFunc("GET "+ReadyPath, func(w http.ResponseWriter, _ *http.Request) {
		if !d.isReady() {
			http.Error(w, "the store has not been read yet: see falcon status", http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte("ready\n"))
	})
	return mux
}

// stateCollector makes metrics of a Status when it is asked for them.
type stateCollector struct{ d *Driver }

// describe makes a metric's description.
func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("falcon_"+name, help, labels, nil)
}

// Of the host.
var (
	metricBuild      = describe("build_info", "Always 1; the label tells which version runs.", "version")
	metricReady      = describe("ready", "1 if the store was read and the kernel follows it.")
	metricDegraded   = describe("degraded", "1 for each thing that does not work as it should; falcon status says why.", "what")
	metricStore      = describe("store_up", "1 if the store answers.", "kind")
	metricRevision   = describe("store_revision", "Newest revision of the store that is known.")
	metricPeer       = describe("peer_up", "1 if the falcon of another host that shares a network answers.", "peer", "id", "underlay")
	metricStrays     = describe("stray_packets_total", "VXLAN packets that hid their network, by what became of them.", "way")
	metricStrayBytes = describe("stray_bytes_total", "Bytes of these.", "way")
)

// Of networks.
var (
	metricNetwork   = describe("network_info", "Always 1; the labels tell how a network is set.", "network", "vni", "steering", "shortcut")
	metricEndpoints = describe("network_endpoints", "Endpoints of a network, on this host and on others.", "network", "place")
	metricHosts     = describe("network_hosts", "Hosts of a network, this one included.", "network")
	metricActive    = describe("network_shortcut_active", "1 if a network's packets can take the shortcut.", "network")
	metricPackets   = describe("network_packets_total", "Packets of a network that the shortcut's programs saw, by the way that they took.", "network", "way")
	metricBytes     = describe("network_bytes_total", "Bytes of these, from the inner Ethernet header on if they took the shortcut.", "network", "way")
)

// Of CPUs: what steering does there. Stages are driver, nic, vxlan and container.
var (
	metricBalancing    = describe("steering_active", "1 if packets are spread over CPUs, 0 if nothing is steered or hops would win nothing.")
	metricBusy         = describe("cpu_busy_ratio", "Share of the last moments that a CPU was not idle.", "cpu")
	metricSoftirq      = describe("cpu_softirq_ratio", "Share of the last moments that a CPU spent in softirqs.", "cpu")
	metricBacklog      = describe("cpu_backlog_packets", "Packets that wait in a CPU's backlog.", "cpu")
	metricBacklogDrops = describe("cpu_backlog_dropped_packets_total", "Packets for which a CPU's backlog had no room, since boot.", "cpu")
	metricQueue        = describe("cpu_split_queue_frames", "Frames that wait for a CPU to take their first stage.", "cpu")
	metricQueueDrops   = describe("cpu_split_queue_dropped_frames_total", "Frames that found that queue full.", "cpu")
)

// stageMetrics are counters of a stage on a CPU.
var stageMetrics = []struct {
	desc  *prometheus.Desc
	value func(datapath.StageCounts) uint64
}{
	{describeStage("packets", "Packets that a stage took."), func(c datapath.StageCounts) uint64 { return c.Packets }},
	{describeStage("bytes", "Bytes of these."), func(c datapath.StageCounts) uint64 { return c.Bytes }},
	{describeStage("skbs", "Socket buffers of these: fewer than packets where GRO has merged some."), func(c datapath.StageCounts) uint64 { return c.Skbs }},
	{describeStage("hops", "Socket buffers sent on to another CPU."), func(c datapath.StageCounts) uint64 { return c.Hops }},
	{describeStage("migrations", "Flows that went to another CPU."), func(c datapath.StageCounts) uint64 { return c.Migrations }},
	{describeStage("held", "Socket buffers whose flow was to migrate and could not yet, for the sake of order."), func(c datapath.StageCounts) uint64 { return c.Held }},
	{describeStage("stale", "Socket buffers that stayed because the balancer was silent."), func(c datapath.StageCounts) uint64 { return c.Stale }},
	{describeStage("missed", "Socket buffers that belong to no flow."), func(c datapath.StageCounts) uint64 { return c.Missed }},
}

func describeStage(what, help string) *prometheus.Desc {
	return describe("stage_"+what+"_total", help, "cpu", "stage")
}

// Describe implements prometheus.Collector: which metrics there are depends on what the host does, so none is announced.
func (stateCollector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c stateCollector) Collect(into chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeLimit)
	defer cancel()
	s := c.d.Status(ctx)
	m := metrics{into}
	m.host(s)
	for _, n := range s.Networks {
		m.network(n)
	}
	m.gauge(metricBalancing, flag(len(s.Steering.Kernel.CPUs) > 0 && !s.Steering.Kernel.Off))
	for _, core := range s.Steering.Kernel.Cores {
		m.core(core, s.Steering.Kernel.CPUs != "")
	}
}

// metrics sends metrics to whoever collects them.
type metrics struct{ into chan<- prometheus.Metric }

func (m metrics) gauge(d *prometheus.Desc, value float64, labels ...string) {
	m.into <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
}

func (m metrics) counter(d *prometheus.Desc, value uint64, labels ...string) {
	m.into <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(value), labels...)
}

func flag(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

func (m metrics) host(s Status) {
	m.gauge(metricBuild, 1, s.Version)
	m.gauge(metricReady, flag(s.Ready))
	degraded := map[string]struct{}{} // for several reasons, some
	for _, d := range s.Degraded {
		degraded[d.What] = struct{}{}
	}
	for what := range degraded {
		m.gauge(metricDegraded, 1, what)
	}
	m.gauge(metricStore, flag(s.Store.Error == ""), s.Store.Kind)
	m.gauge(metricRevision, float64(s.Store.Revision))
	for _, p := range s.Peers {
		m.gauge(metricPeer, flag(p.Alive), p.Name, p.ID, p.Underlay.String()) // a host that was set up anew has its name twice
	}
	for way, n := range s.Strays {
		m.counter(metricStrays, n.Packets, way)
		m.counter(metricStrayBytes, n.Bytes, way)
	}
}

func (m metrics) network(n NetworkStatus) {
	m.gauge(metricNetwork, 1, n.Name, strconv.FormatUint(uint64(n.VNI), 10), n.Steering, n.Shortcut.Mode)
	m.gauge(metricEndpoints, float64(len(n.Endpoints)), n.Name, "local")
	m.gauge(metricEndpoints, float64(n.Remote), n.Name, "remote")
	m.gauge(metricHosts, float64(len(n.Hosts)), n.Name)
	m.gauge(metricActive, flag(n.Shortcut.Active), n.Name)
	for way, count := range n.Shortcut.Ways {
		m.counter(metricPackets, count.Packets, n.Name, way)
		m.counter(metricBytes, count.Bytes, n.Name, way)
	}
}

// core has the stages' counters only where packets are steered: there are no programs that count otherwise.
func (m metrics) core(c datapath.CoreStatus, steered bool) {
	cpu := strconv.Itoa(c.CPU)
	m.gauge(metricBusy, c.Busy, cpu)
	m.gauge(metricSoftirq, c.Softirq, cpu)
	m.gauge(metricBacklog, float64(c.Backlog), cpu)
	m.counter(metricBacklogDrops, c.Drops, cpu)
	if !steered {
		return
	}
	m.gauge(metricQueue, float64(c.Queue.Waiting), cpu)
	m.counter(metricQueueDrops, c.Queue.Drops, cpu)
	for stage, counts := range map[string]datapath.StageCounts{"driver": c.Driver, "nic": c.NIC, "vxlan": c.VXLAN, "container": c.Container} {
		for _, metric := range stageMetrics {
			m.counter(metric.desc, metric.value(counts), cpu, stage)
		}
	}
}

// scrapeErrors logs what keeps metrics from being collected.
type scrapeErrors struct{ log logrus.FieldLogger }

// Println implements promhttp.Logger.
func (l scrapeErrors) Println(args ...any) { l.log.Warn(args...) }

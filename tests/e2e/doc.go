// Package e2e tests what users do with falcon: the docker client, docker-compose and falcon's own commands, on the
// hosts of package lab, with real engines and real packets.
//
// Tests share few labs, for a lab takes seconds to start: see labs_test.go. Each test has networks and
// containers of its own, and when it ends the lab must be as it was: no device of falcon's, no key in the store.
// That is checked after every test. Sockets inside of containers are the test's own (lab.Host.InNet).
package e2e

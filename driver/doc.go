// Package driver is Falcon's control plane on one host: it answers Docker's network driver protocol, keeps
// the cluster's intent in the store and makes the kernel follow it.
//
// What it promises:
//   - Intent first: a request writes the store, then the kernel is reconciled with it. A crash between the two
//     is mended by the next reconcile; a request that fails leaves no intent behind.
//   - Every request is idempotent by its ID and ends within a deadline, with an error that says what to do.
//   - The kernel is changed only on the strength of a complete view of the store and complete dumps of the
//     kernel's tables. Without a view (the store does not answer) nothing is removed and traffic flows on.
//
// How the parts fit:
//
//	Docker ──socket──> server ──> Driver (networks, endpoints) ──commit──> store
//	                                  │                                      │ watch
//	                                  └──── settle ────> reconciler <─── view┘
//	                                                        │
//	                                                     datapath
//
// Locks: view.mu is a leaf, never held over I/O. reconciler.gate serialises changes of the kernel and
// may be held while view.mu is taken, not the other way round.
package driver

//! Queueing models over the topology of a Hence application.

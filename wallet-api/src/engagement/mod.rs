//! Engagement: what happens with a customer between one payment and the next.
//!
//! The slice decides the next best action, runs journeys, keeps the pressure on a person within its budget, speaks over
//! channels and hooks, and measures each touchpoint by its KPIs. It reads the journal and the profile through their
//! public functions and never moves money itself: a reward that a journey grants is asked of loyalty.
//!
//! Present so far: [`hooks`]. Absent so far: next best action, journeys, pressure, channels, KPIs.

pub mod hooks;

//! Both ends in memory, under a virtual clock.

//! The log through its public interface.

mod disk;

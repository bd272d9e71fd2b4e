//! Named rows: expected value, tolerance, computed value; all misses are reported at once.

/// Collects the rows of one test and fails with every row that is off.
#[derive(Default)]
pub(crate) struct Table {
    rows: usize,
    misses: Vec<String>,
}

impl Table {
    /// |got - want| ≤ tolerance·|want|.
    pub(crate) fn relative(&mut self, row: &str, got: f64, want: f64, tolerance: f64) {
        self.absolute(row, got, want, tolerance * want.abs());
    }

    /// |got - want| ≤ tolerance.
    pub(crate) fn absolute(&mut self, row: &str, got: f64, want: f64, tolerance: f64) {
        self.rows += 1;
        let off = (got - want).abs();
        println!("{row}: {got} (expected {want}, tolerance {tolerance:.3e})");
        if off.is_nan() || off > tolerance {
            self.misses.push(format!(
                "{row}: got {got}, expected {want} ± {tolerance:.3e}"
            ));
        }
    }

    /// A simulated mean against a value with standard error: within three combined ones.
    pub(crate) fn simulated(&mut self, row: &str, (got, se): (f64, f64), want: f64, row_se: f64) {
        let sigma = (se * se + row_se * row_se).sqrt();
        println!("{row}: z = {:.2}, se {se:.3e}", (got - want) / sigma);
        self.absolute(row, got, want, 3.0 * sigma);
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert!(self.rows > 0, "a table without rows proves nothing");
            assert!(self.misses.is_empty(), "{}", self.misses.join("\n"));
        }
    }
}

/// Closed forms and exact recursions.
pub(crate) const EXACT: f64 = 1e-8;
/// Markov chains solved numerically.
pub(crate) const CHAIN: f64 = 1e-6;

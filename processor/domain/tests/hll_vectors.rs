//! Our sketches against those of the real postgresql-hll extension, byte for byte; see `testdata/`.

use rollcall_domain::hll::{Hll, hash_text};

const VECTORS: &str = include_str!("../testdata/hll_vectors.tsv");

fn sketch(count: u32) -> Hll {
    let mut hll = Hll::new();
    for i in 1..=count {
        hll.insert_hash(hash_text(&format!("machine-{i}")));
    }
    hll
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn bytes_and_cardinalities_are_the_extensions() {
    let mut rows = 0;
    for line in VECTORS.lines() {
        let mut columns = line.split('\t');
        let mut column = || columns.next().expect("three columns");
        let count: u32 = column().parse().expect("a count");
        let cardinality: f64 = column().parse().expect("a cardinality");
        let expect = column();
        let hll = sketch(count);
        let mut bytes = Vec::new();
        hll.to_bytes(&mut bytes);
        assert_eq!(hex(&bytes), expect, "bytes of {count} elements");
        let error = (hll.estimate() - cardinality).abs() / cardinality.max(1.0);
        assert!(
            error < 1e-9,
            "{} is not {cardinality} for {count}",
            hll.estimate()
        );
        assert_eq!(
            Hll::from_bytes(&bytes),
            Ok(hll),
            "{count} elements read back"
        );
        rows += 1;
    }
    assert_eq!(rows, 17);
}

#[test]
fn a_merge_is_equal_to_inserting_everything() {
    for (from, to) in [(100, 150), (100, 161), (160, 161), (500, 700), (700, 5000)] {
        let mut merged = sketch(from);
        merged.merge(&sketch(to));
        assert_eq!(merged, sketch(to), "{from} of {to}");
        let mut merged = sketch(to);
        merged.merge(&sketch(from));
        assert_eq!(merged, sketch(to), "{to} and {from}");
    }
}

#[test]
fn broken_bytes_are_refused() {
    let mut bytes = Vec::new();
    for count in [0, 3, 300, 3000] {
        bytes.clear();
        sketch(count).to_bytes(&mut bytes);
        for cut in 0..bytes.len().min(40) {
            let _ = Hll::from_bytes(&bytes[..cut]);
        }
        bytes.push(0);
        assert!(
            Hll::from_bytes(&bytes).is_err(),
            "{count} elements and a byte"
        );
        bytes[1] ^= 1;
        assert!(Hll::from_bytes(&bytes).is_err(), "another log2m");
    }
}

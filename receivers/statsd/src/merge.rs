//! The values of one series from several readers become one.

use hornpipe_model::Samples;
use hornpipe_model::distribution::SAMPLE_LIMIT;

use crate::slab::{Cell, saturating_sum};

/// Sample memory that a series keeps in its slab for the next window. With more than this the memory itself goes out,
/// so that one busy window does not hold it for good.
const KEPT_SAMPLE_BYTES: usize = 1024;

/// Adds the second value to the first and empties the second.
pub(crate) fn merge_cell(into: &mut Cell, from: &mut Cell) {
    match (&mut *into, &mut *from) {
        (Cell::Count { sum, samples }, Cell::Count { sum: more, samples: more_samples }) => {
            *sum = saturating_sum(*sum, *more);
            *samples += *more_samples;
            *from = Cell::Empty;
        }
        (Cell::Gauge { arrival: first, .. }, Cell::Gauge { arrival: second, .. }) => {
            if *second >= *first {
                *into = std::mem::take(from);
            } else {
                *from = Cell::Empty;
            }
        }
        (Cell::Level(level), Cell::Level(more)) => {
            level.merge(**more);
            *from = Cell::Empty;
        }
        (Cell::Set(members), Cell::Set(more)) => members.absorb(more),
        (Cell::Values(values), Cell::Values(more)) if values.len() + more.len() <= SAMPLE_LIMIT => {
            values.extend_from_slice(more);
            more.clear();
        }
        (Cell::Values(_) | Cell::Samples(_), Cell::Values(_) | Cell::Samples(_)) => {
            if let (Some(samples), Some(more)) = (into.as_samples(), from.as_samples()) {
                samples.merge(more);
                give_out(more);
            }
        }
        (_, Cell::Values(values)) => *into = Cell::Values(give_out_values(values)),
        (_, Cell::Samples(samples)) => *into = Cell::Samples(Box::new(give_out(samples))),
        _ => *into = std::mem::take(from),
    }
}

/// The values in memory of the right size. Little memory stays where it was, for the next window's values.
fn give_out_values(values: &mut Vec<f64>) -> Vec<f64> {
    if values.capacity() * size_of::<f64>() > KEPT_SAMPLE_BYTES {
        let mut taken = std::mem::take(values);
        taken.shrink_to_fit();
        return taken;
    }
    let copy = values.as_slice().to_vec();
    values.clear();
    copy
}

/// The same for samples.
fn give_out(samples: &mut Samples) -> Samples {
    if samples.bytes() > KEPT_SAMPLE_BYTES {
        let mut taken = samples.take();
        taken.shrink_to_fit();
        return taken;
    }
    let copy = samples.clone();
    samples.clear();
    copy
}

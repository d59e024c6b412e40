//! The boundary with Python: conversions, errors, and panics of the proofs' crates, which become errors.

use std::any::Any;
use std::panic::{catch_unwind, AssertUnwindSafe};

use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;

mod parameters;
mod verify;

use verify::{Failure, Sector};

pyo3::create_exception!(fvm_hypervisor_proofs, ParametersError, PyRuntimeError);
pyo3::create_exception!(fvm_hypervisor_proofs, ProofError, PyValueError);

type Commitment = [u8; 32];
/// Number, replica, data, ticket, seed.
type SectorFields = (u64, Commitment, Commitment, Commitment, Commitment);

fn guarded<T: Send>(py: Python<'_>, ask: impl FnOnce() -> Result<T, Failure> + Send) -> PyResult<T> {
    match py.detach(|| catch_unwind(AssertUnwindSafe(ask))) {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(Failure::Parameters(reason))) => Err(ParametersError::new_err(reason)),
        Ok(Err(Failure::Proof(reason))) => Err(ProofError::new_err(reason)),
        Err(panic) => Err(ProofError::new_err(format!("the verifier panicked: {}", message(&*panic)))),
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

fn sector((number, replica, data, ticket, seed): SectorFields) -> Sector {
    Sector { number, replica, data, ticket, seed }
}

/// Set the folder of verifying keys for this process. Raises ParametersError if another one is in use.
#[pyfunction]
fn configure(folder: &str, check_digests: bool) -> PyResult<()> {
    parameters::configure(folder, check_digests).map_err(|error| ParametersError::new_err(format!("{error:#}")))
}

#[pyfunction]
fn verify_seal(
    py: Python<'_>,
    seal_type: usize,
    prover: Commitment,
    fields: SectorFields,
    proof: Vec<u8>,
) -> PyResult<bool> {
    guarded(py, || verify::seal(seal_type, prover, &sector(fields), &proof))
}

#[pyfunction]
fn verify_aggregate(
    py: Python<'_>,
    seal_type: usize,
    aggregate_type: usize,
    prover: Commitment,
    sectors: Vec<SectorFields>,
    proof: Vec<u8>,
) -> PyResult<bool> {
    let sectors: Vec<Sector> = sectors.into_iter().map(sector).collect();
    guarded(py, || verify::aggregate(seal_type, aggregate_type, prover, &sectors, proof))
}

#[pyfunction]
fn verify_window_post(
    py: Python<'_>,
    post_type: usize,
    randomness: Commitment,
    proofs: Vec<Vec<u8>>,
    sectors: Vec<(u64, Commitment)>,
    prover: Commitment,
) -> PyResult<bool> {
    guarded(py, || verify::window(post_type, randomness, &proofs, &sectors, prover))
}

#[pyfunction]
fn verify_winning_post(
    py: Python<'_>,
    post_type: usize,
    randomness: Commitment,
    proof: Vec<u8>,
    sectors: Vec<(u64, Commitment)>,
    prover: Commitment,
) -> PyResult<bool> {
    guarded(py, || verify::winning(post_type, randomness, &proof, &sectors, prover))
}

#[pyfunction]
fn winning_challenge(
    py: Python<'_>,
    post_type: usize,
    randomness: Commitment,
    count: u64,
    prover: Commitment,
) -> PyResult<Vec<u64>> {
    guarded(py, || verify::winning_challenge(post_type, randomness, count, prover))
}

#[pyfunction]
fn verify_replica_update(
    py: Python<'_>,
    update_type: usize,
    old: Commitment,
    new: Commitment,
    data: Commitment,
    proof: Vec<u8>,
) -> PyResult<bool> {
    guarded(py, || verify::replica_update(update_type, old, new, data, &proof))
}

#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    // a panic becomes an error with its message: hostile proofs must not fill the log (this hook is the extension's own)
    std::panic::set_hook(Box::new(|_| {}));
    module.add("ParametersError", module.py().get_type::<ParametersError>())?;
    module.add("ProofError", module.py().get_type::<ProofError>())?;
    module.add_function(wrap_pyfunction!(configure, module)?)?;
    module.add_function(wrap_pyfunction!(verify_seal, module)?)?;
    module.add_function(wrap_pyfunction!(verify_aggregate, module)?)?;
    module.add_function(wrap_pyfunction!(verify_window_post, module)?)?;
    module.add_function(wrap_pyfunction!(verify_winning_post, module)?)?;
    module.add_function(wrap_pyfunction!(winning_challenge, module)?)?;
    module.add_function(wrap_pyfunction!(verify_replica_update, module)?)
}

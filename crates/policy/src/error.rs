//! Why a policy document does not compile.
use ringfence_numbers::PlanError;
use thiserror::Error;

/// One line that names the field, what was wrong and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{field}: {problem}")]
pub struct PolicyError {
    /// Path of the field, such as `rules[3].target`; `policy` for the document as a whole.
    pub field: String,
    /// What was wrong and what would be right.
    pub problem: String,
}

impl PolicyError {
    pub(crate) fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            problem: problem.into(),
        }
    }
}

impl From<PlanError> for PolicyError {
    fn from(error: PlanError) -> Self {
        Self {
            field: error.field,
            problem: error.problem,
        }
    }
}

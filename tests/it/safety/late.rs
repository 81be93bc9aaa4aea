//! What WeChat says of a file after its message was stored.

use serde_json::json;

use super::*;
use crate::harness::eventually;

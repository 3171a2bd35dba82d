//! What several fuzz targets share.

pub mod bytes;
pub mod payload;

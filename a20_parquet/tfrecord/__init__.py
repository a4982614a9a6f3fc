"""TFRecord shards: compression, frames with checksums, and finding frames after damage."""

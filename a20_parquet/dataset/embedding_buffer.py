"""Reusable memory for embeddings that are read block by block: allocation is slow."""

import numpy as np
import numpy.typing as npt

from a20_parquet.parquet import Embeddings


class EmbeddingBuffer:
    """Reusable memory for one block of embeddings at a time; for one thread."""

    def __init__(self) -> None:
        self._memory: npt.NDArray[np.float32] = np.empty(0, np.float32)

    def rows(self, rows: int, dims: int) -> Embeddings:
        """Return memory of shape ``(rows, dims)``, which keeps its earlier contents."""
        if len(self._memory) < rows * dims:
            kept = self._memory
            self._memory = np.empty(rows * dims, np.float32)
            self._memory[: len(kept)] = kept
        return self._memory[: rows * dims].reshape(rows, dims)

"""``python -m a20_parquet``."""

from a20_parquet.cli import main

if __name__ == "__main__":
    main()

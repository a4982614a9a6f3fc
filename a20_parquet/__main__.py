"""``python -m a20_parquet``."""

from a20_parquet.cli.main import main

if __name__ == "__main__":
    main()

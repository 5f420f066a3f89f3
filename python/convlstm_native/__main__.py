"""``python -m convlstm_native`` is the command line."""

from convlstm_native.cli import main

if __name__ == "__main__":
    main()

"""Each speed as a ratio of two ways to do the same work: `make bench`.

The two ways take turns, and each ratio is that of their medians: so other work on the machine slows
both. Processor time is measured where both ways compute in one thread of this process. Writes
ratios.json beside this file and the table of docs/speed.md. No test asserts a time.
"""

if __name__ == "__main__":
    # Here, because the processes that make labels import this file, and need no torch.
    from measure import main

    main()

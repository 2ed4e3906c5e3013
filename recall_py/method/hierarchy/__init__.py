"""Ward's tree of the cells, and which of its splits one population would not show (sc-SHC).

Grabski, Street and Irizarry, Nature Methods 2023, doi 10.1038/s41592-023-01933-9.
"""

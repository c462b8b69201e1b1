# SPDX-License-Identifier: BSD-2-Clause
#
# Durable sqlite transactions, one row each: sqlite_client.py DATABASE wal|delete COUNT. Prints the
# seconds that they took, and the CPU seconds of this process.
import sqlite3
import sys
import time


def main():
    path, mode, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    database = sqlite3.connect(path, isolation_level=None)
    now = database.execute(f"PRAGMA journal_mode={mode}").fetchone()[0]
    if now != mode:
        sys.exit(f"sqlite keeps journal mode {now}")
    database.execute("PRAGMA synchronous=FULL")
    database.execute("CREATE TABLE t(i INTEGER PRIMARY KEY, x TEXT)")
    begin, cpu = time.perf_counter(), time.process_time()
    for i in range(count):
        database.execute("INSERT INTO t VALUES(?, ?)", (i, "x" * 100))
    print(time.perf_counter() - begin, time.process_time() - cpu)
    rows = database.execute("SELECT count(*) FROM t").fetchone()[0]
    if rows != count:
        sys.exit(f"{rows} rows instead of {count}")
    database.close()


main()

/* brasa tsdb import|list|verify|dump|dump-openmetrics: data directories of Prometheus and our own.
 *
 *   tsdb import DIR [--storage.tsdb.path=data] [--quiet]
 *   tsdb list [DIR] [-r|--human-readable]
 *   tsdb verify [DIR]
 *   tsdb dump|dump-openmetrics [DIR] [--min-time=MS] [--max-time=MS] [--match=SELECTOR]... */
#ifndef CMD_TSDB_H
#define CMD_TSDB_H

/* The arguments behind "tsdb". Returns the exit code: 0, 1 for failures, 2 for wrong usage. */
int cmd_tsdb(int argc, char *const *argv);

#endif

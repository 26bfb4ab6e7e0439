/* How the fuzz targets of file formats damage a file: the input is a list of edits to bytes that
 * were good, so that what is behind a checksum is reached too. */
#ifndef TESTS_FUZZ_TSDB_EDITED_FILE_H
#define TESTS_FUZZ_TSDB_EDITED_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "base/vfs.h"

/* Applies edits {u16 offset, u8 kind, u8 value} to the file: xor, set, zero a sector, cut, append
 * the rest of the input. */
void edit_file(struct vfs *vfs, const char *path, const uint8_t *edits, size_t n);
/* Makes the file with exactly these bytes. */
void put_file(struct vfs *vfs, const char *path, const uint8_t *bytes, size_t n);

#endif

/* JSON Lines. */
#include "data/data.h"

forage_status data_jsonl_header(forage_reader *reader, const forage_read_options *options, data_names *names,
                                forage_error *error)
{
    (void)options;
    (void)names;
    return forage_fail_at(error, FORAGE_UNSUPPORTED, reader->source.path, 0, NULL, "JSON Lines cannot be read yet");
}

forage_status data_jsonl_next(forage_reader *reader, forage_rows *rows, forage_error *error)
{
    (void)rows;
    return forage_fail_at(error, FORAGE_UNSUPPORTED, reader->source.path, 0, NULL, "JSON Lines cannot be read yet");
}

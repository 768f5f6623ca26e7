#!/usr/bin/python3 -B
# SPDX-License-Identifier: Apache-2.0
"""forage import and export as a user meets them."""
import gzip
import json
import pathlib

import cli
from cli import forage, refused

LOG = ("user_id,product_id,clicked,category,timestamp,position\n"
       "anna,4,1,\"Toys, small\",2020-01-01T10:00:00Z,1\n"
       "bob,5,0,Food,2020-01-01T11:00:00Z,2\n"
       "anna,5,1,Food,2020-01-02T11:00:00Z,1\n")


def write(name, text):
    pathlib.Path(name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return name


def read(name):
    return pathlib.Path(name).read_text()


def test_summary():
    result = forage("import", write("log.csv", LOG))
    for part in ("rows   3", "users  2", "items  2", "click rate 66.67 %", "item attribute  categories, 2 different",
                 "2020-01-01 10:00:00 to 2020-01-02 11:00:00", "position"):
        assert part in result.out, part
    summary = forage("import", "log.csv", "--json").json()
    assert (summary["rows"], summary["users"], summary["items"]) == (3, 2, 2)
    assert abs(summary["click_rate"] - 2 / 3) < 1e-12
    roles = {column["name"]: column["role"] for column in summary["columns"]}
    assert roles == {"user_id": "user", "product_id": "item", "clicked": "value", "category": "item attribute",
                     "timestamp": "time", "position": "context"}


def test_there_and_back():
    write("log.csv", LOG)
    forage("import", "log.csv", "--output", "log.jsonl", "--catalogue", "items.csv", "--population", "users.csv")
    rows = [json.loads(line) for line in read("log.jsonl").splitlines()]
    assert rows[0] == {"user_id": "anna", "product_id": 4, "clicked": 1, "timestamp": "2020-01-01T10:00:00Z",
                       "category": "Toys, small", "position": 1}
    assert read("items.csv") == "product_id,category\n4,\"Toys, small\"\n5,Food\n"
    assert read("users.csv") == "user_id\nanna\nbob\n"
    forage("export", "log.jsonl", "--output", "again.csv")
    assert read("again.csv") == ("user_id,product_id,clicked,timestamp,category,position\n"
                                 "anna,4,1,2020-01-01T10:00:00Z,\"Toys, small\",1\n"
                                 "bob,5,0,2020-01-01T11:00:00Z,Food,2\n"
                                 "anna,5,1,2020-01-02T11:00:00Z,Food,1\n")
    forage("export", "log.csv", "--output", "shop.inter")
    assert read("shop.inter").startswith("user_id:token\tproduct_id:token\tclicked:float\ttimestamp:float\tposition:token\n"
                                         "anna\t4\t1\t1577872800\t1\n")
    assert read("shop.item") == "product_id:token\tcategory:token\n4\tToys, small\n5\tFood\n"
    assert forage("import", "shop.inter", "--json").json()["rows"] == 3


def test_streams():
    piped = forage("import", "-", "--output", "-", stdin=LOG)
    assert piped.out.startswith("user_id,product_id,clicked,timestamp,category,position\nanna,4,1,")
    assert "rows   3" in piped.err
    assert forage("import", write("u.data", "1\t5\t3\t881250949\n2\t6\t4\t881250950\n"), "--header",
                  "user_id,item_id,rating,timestamp", "--output", "u.csv").out.count("1997-12-04") == 2
    assert read("u.csv") == "user_id,item_id,rating,timestamp\n1,5,3,881250949\n2,6,4,881250950\n"


def test_roles_by_options():
    write("odd.csv", "who;what;stars;kind\n1;a;5;x\n1;a;4;y\n")
    forage("import", "odd.csv", "--user-column", "who", "--item-column", "what", "--value-column", "stars", "--output",
           "plain.csv")
    assert read("plain.csv") == "user_id,item_id,value,kind\n1,a,5,x\n1,a,4,y\n"
    refused("import", "odd.csv", "--item-column", "what", "--item-columns", "kind", says=["--context-columns kind"])


def test_blank_lines():
    assert forage("import", write("log.csv", "\n\r\n" + LOG), "--json").json()["rows"] == 3
    refused("import", write("log.csv", "\n" * 30), says=["log.csv", "empty"])
    refused("import", write("log.csv", "\n\nuser_id,item_id\n1,2,3\n"), says=["log.csv:4"])


def test_attributes_by_the_logs_name():
    write("log.csv", "who,ad,clicked\na,x,1\nb,y,0\n")
    write("ads.csv", "brand,ad,item_id\nB,x,1\nC,y,2\n")
    log = ("log.csv", "--user-column", "who", "--item-column", "ad")
    roles = {column["name"]: column["distinct"] for column in
             forage("import", *log, "--item-attributes", "ads.csv", "--json").json()["columns"] if column["role"] == "item attribute"}
    assert roles == {"brand": 2, "item_id": 2}
    refused("import", *log, "--user-attributes", "ads.csv", says=["ads.csv", "no column is the user", "in the log"])


def test_mistakes():
    write("log.csv", LOG)
    refused("import", code=2)
    refused("import", "absent.csv", says=["absent.csv"])
    refused("import", ".", says=["directory"])
    refused("import", "log.csv", "--format", "xml", says=["xml"], code=2)
    refused("import", "log.csv", "--delimiter", "ab", code=2, says=["one character"])
    refused("import", "log.csv", "--output", "x.parquet", code=2, says=["CSV"])
    refused("import", "log.csv", "--output", "-", "--json", code=2, says=["standard output"])
    refused("import", "log.csv", "--value-column", "stars", says=["stars"])
    refused("import", "log.csv", "--output", "nowhere/x.csv", says=["nowhere/x.csv"])
    refused("export", "log.csv", code=2, says=["--output"])
    refused("export", "log.csv", "--output", "x.txt", code=2, says=["--to"])
    refused("export", "log.csv", "--output", "x.txt", "--to", "pairs", says=["pairs"])
    refused("import", write("log.csv.gz", gzip.compress(LOG.encode())), says=["zcat"])
    refused("import", write("utf16.csv", LOG.encode("utf-16")), says=["UTF-16"])
    refused("import", write("latin.csv", LOG.replace("bob", "b\u00f6b").encode("latin-1")), says=["latin.csv:3"])


def test_nothing_half_written():
    write("bad.csv", LOG + "anna,5\n")
    before = set(pathlib.Path(".").iterdir())
    for output in ("out.csv", "out.jsonl"):
        refused("import", "bad.csv", "--output", output, says=["bad.csv:5", "2 fields, the header has 6"])
    refused("export", "bad.csv", "--output", "out.inter", says=["bad.csv:5"])
    assert set(pathlib.Path(".").iterdir()) == before


cli.main(globals())

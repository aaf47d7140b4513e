"""`oodseg demo`: a drive is published, the node answers over DDS, a page shows what it said and when."""

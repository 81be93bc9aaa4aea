DROP TABLE nodes_cut_off;

#!/usr/bin/env nextflow
// nextflow run pipelines/nf-core/main.nf --cells data/pbmc68k.h5ad

include { RECALLPY_CLUSTER } from './modules/local/recallpy/cluster/main'

params.cells = "${projectDir}/../../data/pbmc68k.h5ad"
params.recallpy_container = null

workflow {
    cells = Channel.fromPath(params.cells, checkIfExists: true).map { file -> [[id: file.baseName], file] }
    RECALLPY_CLUSTER(cells)
    RECALLPY_CLUSTER.out.report.view()
}

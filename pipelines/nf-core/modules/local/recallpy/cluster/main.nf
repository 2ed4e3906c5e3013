process RECALLPY_CLUSTER {
    tag "$meta.id"
    label 'process_medium'

    conda "${moduleDir}/environment.yml"
    container "${params.recallpy_container ?: 'recall-py:0.1.0'}"

    input:
    tuple val(meta), path(cells)

    output:
    tuple val(meta), path("${prefix}.h5ad")        , emit: h5ad
    tuple val(meta), path("${prefix}.html")        , emit: report
    tuple val(meta), path("${prefix}.markers.csv") , emit: markers
    tuple val(meta), path("${prefix}.merges.csv")  , emit: merges
    tuple val(meta), path("${prefix}.json")        , emit: json
    path "versions.yml"                            , emit: versions

    when:
    task.ext.when == null || task.ext.when

    script:
    def args = task.ext.args ?: '--resolution auto'
    prefix = task.ext.prefix ?: "${meta.id}_recallpy"
    """
    export NUMBA_CACHE_DIR=\$PWD/numba MPLCONFIGDIR=\$PWD/matplotlib

    recall-py cluster \\
        $args \\
        --n-jobs $task.cpus \\
        --report ${prefix}.html \\
        --markers ${prefix}.markers.csv \\
        --merges ${prefix}.merges.csv \\
        --json ${prefix}.json \\
        -o ${prefix}.h5ad \\
        $cells

    cat <<-END_VERSIONS > versions.yml
    "${task.process}":
        recall-py: \$(recall-py --version | sed -n '1s/recall-py //p')
    END_VERSIONS
    """

    stub:
    prefix = task.ext.prefix ?: "${meta.id}_recallpy"
    """
    touch ${prefix}.h5ad ${prefix}.html ${prefix}.markers.csv ${prefix}.merges.csv ${prefix}.json

    cat <<-END_VERSIONS > versions.yml
    "${task.process}":
        recall-py: \$(recall-py --version | sed -n '1s/recall-py //p')
    END_VERSIONS
    """
}

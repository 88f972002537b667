/* SPDX-License-Identifier: Apache-2.0 */
/* tests/model/test_config.c - both dialects of config.json, class defaults, and what is refused. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/base.h"
#include "model/model.h"

static snug_arena *a;
static snug_err    err;

static int new_arena(void **state)
{
    (void)state;
    a = snug_arena_new();
    return 0;
}

static int drop_arena(void **state)
{
    (void)state;
    snug_arena_free(a);
    return 0;
}

/* A config of one class with more members: ", \"key\": value" */
static snug_status parse(const char *class_name, const char *more, model_shape *s)
{
    snug_json  config;
    snug_slice text = snug_arena_printf(a, "{\"architectures\": [\"%s\"]%s}", class_name, more);
    if (snug_json_parse(a, text, NULL, &config, &err) != SNUG_OK) fail_msg("%s", err.msg);
    return model_parse(config, SNUG_EMPTY, s, &err);
}

static void test_defaults(void **state)
{
    (void)state;
    model_shape s;
    assert_int_equal(parse("LlamaForCausalLM", "", &s), SNUG_OK);
    assert_int_equal(s.vocab, 32000);
    assert_int_equal(s.hidden, 4096);
    assert_int_equal(s.inner, 11008);
    assert_int_equal(s.layers, 32);
    assert_int_equal(s.heads, 32);
    assert_int_equal(s.kv_heads, 32);
    assert_int_equal(s.head_dim, 128);
    assert_int_equal(s.positions_max, 2048);
    assert_true(s.eps == 1e-6f && s.rope.theta == 10000.0 && s.rope.kind == NN_ROPE_DEFAULT &&
                s.rope.width == 128);
    assert_false(s.tied || s.attention_bias || s.mlp_bias);
    assert_int_equal(s.act, TENSOR_ACT_SILU);
    assert_int_equal(parse("DistilBertForSequenceClassification", "", &s), SNUG_OK);
    assert_int_equal(s.vocab, 30522);
    assert_int_equal(s.hidden, 768);
    assert_int_equal(s.inner, 3072);
    assert_int_equal(s.layers, 6);
    assert_int_equal(s.heads, 12);
    assert_int_equal(s.positions_max, 512);
    assert_int_equal(s.labels, 2);
    assert_true(s.tied);
    assert_int_equal(s.act, TENSOR_ACT_GELU);
    assert_int_equal(parse("DistilBertModel",
                           ", \"num_hidden_layers\": 3, \"hidden_size\": 60, \"n_heads\": null, "
                           "\"id2label\": {\"0\": \"x\"}",
                           &s),
                     SNUG_OK);
    assert_int_equal(s.layers, 3);
    assert_int_equal(s.hidden, 60);
    assert_int_equal(s.head_dim, 5);
}

static void test_labels(void **state)
{
    (void)state;
    model_shape s;
    assert_int_equal(parse("DistilBertForSequenceClassification",
                           ", \"id2label\": {\"0\": \"a\", \"1\": \"b\", \"2\": \"c\"}", &s),
                     SNUG_OK);
    assert_int_equal(s.labels, 3);
    assert_int_equal(parse("DistilBertForSequenceClassification", ", \"num_labels\": 1", &s),
                     SNUG_OK);
    assert_int_equal(s.labels, 1);
}

static void test_rope_dialects(void **state)
{
    (void)state;
    static const char *const same[] = {
        ", \"rope_theta\": 5e5, \"rope_scaling\": {\"type\": \"llama3\", \"factor\": 8, "
        "\"low_freq_factor\": 1, \"high_freq_factor\": 4, \"original_max_position_embeddings\": "
        "32}",
        ", \"rope_theta\": 500000, \"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8.0, "
        "\"low_freq_factor\": 1.0, \"high_freq_factor\": 4.0, "
        "\"original_max_position_embeddings\": 32}",
        ", \"rope_parameters\": {\"rope_theta\": 500000.0, \"rope_type\": \"llama3\", \"factor\": "
        "8.0, \"low_freq_factor\": 1.0, \"high_freq_factor\": 4.0, "
        "\"original_max_position_embeddings\": 32}",
    };
    model_shape s;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(parse("LlamaForCausalLM", same[i], &s), SNUG_OK);
        assert_int_equal(s.rope.kind, NN_ROPE_LLAMA3);
        assert_true(s.rope.theta == 500000.0 && s.rope.factor == 8.0 &&
                    s.rope.low_freq_factor == 1.0 && s.rope.high_freq_factor == 4.0);
        assert_int_equal(s.rope.original_max, 32);
    }
    assert_int_equal(
        parse("LlamaForCausalLM",
              ", \"rope_scaling\": null, \"rope_theta\": 1e6, \"rope_parameters\": null", &s),
        SNUG_OK);
    assert_true(s.rope.theta == 1e6 && s.rope.kind == NN_ROPE_DEFAULT);
    /* yarn without a factor: from the two lengths. */
    assert_int_equal(parse("LlamaForCausalLM",
                           ", \"max_position_embeddings\": 4096, \"rope_parameters\": "
                           "{\"rope_type\": \"yarn\", \"original_max_position_embeddings\": 1024}",
                           &s),
                     SNUG_OK);
    assert_true(s.rope.factor == 4.0 && s.rope.truncate);
}

/* What is refused, with the status and the words that name it. */
static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *class_name, *more;
        snug_status st;
        const char *named;
    } cases[] = {
        {"RwkvForCausalLM", "", SNUG_EUNSUPPORTED, "RwkvForCausalLM"},
        {"", "", SNUG_EUNSUPPORTED, "\"\""},
        {"LlamaForCausalLM", ", \"model_type\": \"mistral\"", SNUG_EUNSUPPORTED, "mistral"},
        {"LlamaForCausalLM", ", \"quantization_config\": {\"quant_method\": \"gptq\"}",
         SNUG_EUNSUPPORTED, "gptq"},
        {"LlamaForCausalLM", ", \"hidden_act\": \"xielu\"", SNUG_EUNSUPPORTED, "xielu"},
        {"LlamaForCausalLM", ", \"rope_scaling\": {\"type\": \"spiral\", \"factor\": 2}",
         SNUG_EUNSUPPORTED, "spiral"},
        {"LlamaForCausalLM",
         ", \"rope_parameters\": {\"rope_type\": \"default\", \"mrope_section\": [1]}",
         SNUG_EUNSUPPORTED, "mrope_section"},
        {"LlamaForCausalLM",
         ", \"rope_parameters\": {\"full_attention\": {\"rope_type\": \"default\"}}",
         SNUG_EUNSUPPORTED, "full_attention"},
        {"LlamaForCausalLM", ", \"partial_rotary_factor\": 0.5", SNUG_EUNSUPPORTED,
         "partial_rotary_factor"},
        {"DistilBertModel", ", \"add_cross_attention\": true", SNUG_EUNSUPPORTED,
         "add_cross_attention"},
        {"LlamaForCausalLM", ", \"rope_scaling\": \"linear\"", SNUG_EINVAL, "rope_scaling"},
        {"LlamaForCausalLM", ", \"rope_scaling\": {\"type\": \"linear\"}", SNUG_EINVAL, "factor"},
        {"LlamaForCausalLM", ", \"rope_scaling\": {\"type\": \"linear\", \"factor\": 0}",
         SNUG_ELIMIT, "factor"},
        {"LlamaForCausalLM",
         ", \"rope_scaling\": {\"type\": \"llama3\", \"factor\": 8, \"low_freq_factor\": 4, "
         "\"high_freq_factor\": 4}",
         SNUG_EINVAL, "high_freq_factor"},
        {"LlamaForCausalLM", ", \"rope_theta\": 1", SNUG_ELIMIT, "rope_theta"},
        {"LlamaForCausalLM", ", \"num_attention_heads\": 0", SNUG_ELIMIT, "num_attention_heads"},
        {"LlamaForCausalLM", ", \"num_key_value_heads\": 0", SNUG_ELIMIT, "num_key_value_heads"},
        {"LlamaForCausalLM", ", \"num_key_value_heads\": 3", SNUG_EINVAL, "num_key_value_heads"},
        {"LlamaForCausalLM", ", \"hidden_size\": 4095", SNUG_EINVAL, "hidden_size"},
        {"LlamaForCausalLM", ", \"hidden_size\": -64", SNUG_EINVAL, "hidden_size"},
        {"LlamaForCausalLM", ", \"hidden_size\": 64.5", SNUG_EINVAL, "hidden_size"},
        {"LlamaForCausalLM", ", \"hidden_size\": \"64\"", SNUG_EINVAL, "hidden_size"},
        {"LlamaForCausalLM", ", \"hidden_size\": 18446744073709551615", SNUG_ELIMIT, "hidden_size"},
        {"LlamaForCausalLM", ", \"hidden_size\": 1e30", SNUG_EINVAL, "hidden_size"},
        {"LlamaForCausalLM", ", \"head_dim\": 15", SNUG_EINVAL, "even head width"},
        {"LlamaForCausalLM", ", \"head_dim\": 4294967296", SNUG_ELIMIT, "head_dim"},
        {"LlamaForCausalLM", ", \"num_hidden_layers\": 1000000000", SNUG_ELIMIT,
         "num_hidden_layers"},
        {"LlamaForCausalLM", ", \"num_hidden_layers\": 0", SNUG_ELIMIT, "num_hidden_layers"},
        {"LlamaForCausalLM", ", \"vocab_size\": 0", SNUG_ELIMIT, "vocab_size"},
        {"LlamaForCausalLM", ", \"vocab_size\": 2147483648", SNUG_ELIMIT, "vocab_size"},
        {"LlamaForCausalLM", ", \"intermediate_size\": 99999999999", SNUG_ELIMIT,
         "intermediate_size"},
        {"LlamaForCausalLM", ", \"max_position_embeddings\": 0", SNUG_ELIMIT,
         "max_position_embeddings"},
        {"LlamaForCausalLM", ", \"rms_norm_eps\": -1", SNUG_ELIMIT, "rms_norm_eps"},
        {"LlamaForCausalLM", ", \"tie_word_embeddings\": \"yes\"", SNUG_EINVAL,
         "tie_word_embeddings"},
        {"DistilBertModel", ", \"dim\": 770", SNUG_EINVAL, "dim"},
        {"DistilBertModel", ", \"dim\": 131072, \"n_heads\": 1", SNUG_ELIMIT, "131072 dimensions"},
        {"LlamaForCausalLM", ", \"hidden_size\": 131072, \"num_attention_heads\": 1", SNUG_ELIMIT,
         "head_dim"},
        {"DistilBertModel", ", \"n_heads\": 0", SNUG_ELIMIT, "n_heads"},
        {"DistilBertForSequenceClassification", ", \"num_labels\": 0", SNUG_ELIMIT, "num_labels"},
        {"DistilBertForSequenceClassification", ", \"id2label\": {}", SNUG_ELIMIT, "num_labels"},
        {"BertModel", ", \"position_embedding_type\": \"relative_key\"", SNUG_EUNSUPPORTED,
         "relative_key"},
        {"BertModel", ", \"is_decoder\": true", SNUG_EUNSUPPORTED, "is_decoder"},
        {"RobertaModel", ", \"pad_token_id\": 511", SNUG_EINVAL, "positions leave no room"},
        {"AlbertModel", ", \"num_hidden_groups\": 13", SNUG_ELIMIT, "num_hidden_groups"},
        {"DebertaV2Model", ", \"relative_attention\": true, \"pos_att_type\": [\"p2p\"]",
         SNUG_EUNSUPPORTED, "p2p"},
        {"DebertaV2Model", ", \"relative_attention\": true, \"position_buckets\": 3", SNUG_EINVAL,
         "buckets"},
        {"ModernBertForSequenceClassification", ", \"classifier_pooling\": \"max\"",
         SNUG_EUNSUPPORTED, "max"},
        {"Qwen3ForCausalLM", ", \"num_hidden_layers\": 1, \"layer_types\": [\"linear_attention\"]",
         SNUG_EUNSUPPORTED, "linear_attention"},
        {"Qwen3ForCausalLM", ", \"layer_types\": [\"full_attention\"]", SNUG_EINVAL, "layer_types"},
        {"SmolLM3ForCausalLM", ", \"no_rope_layers\": [1]", SNUG_EINVAL, "no_rope_layers"},
        {"GemmaForCausalLM", ", \"use_bidirectional_attention\": true", SNUG_EUNSUPPORTED,
         "use_bidirectional_attention"},
        {"MptForCausalLM", ", \"no_bias\": false", SNUG_EUNSUPPORTED, "no_bias"},
        {"MarianMTModel", ", \"decoder_vocab_size\": 7", SNUG_EUNSUPPORTED, "decoder_vocab_size"},
        {"MambaForCausalLM", ", \"time_step_rank\": \"most\"", SNUG_EINVAL, "time_step_rank"},
        {"MambaForCausalLM", ", \"time_step_limit\": [1]", SNUG_EINVAL, "time_step_limit"},
        {"MambaForCausalLM", ", \"conv_kernel\": 0", SNUG_ELIMIT, "conv_kernel"},
        {"Mamba2ForCausalLM", ", \"num_heads\": 3", SNUG_EINVAL, "3 heads"},
        {"Mamba2ForCausalLM", ", \"n_groups\": 3", SNUG_EINVAL, "3 groups"},
        {"JambaForCausalLM", ", \"attn_layer_offset\": 8", SNUG_ELIMIT, "attn_layer_offset"},
        {"FalconH1ForCausalLM", ", \"mamba_n_heads\": 16, \"ssm_multipliers\": [1]", SNUG_EINVAL,
         "ssm_multipliers"},
        {"FalconH1ForCausalLM", ", \"mamba_n_heads\": 16, \"key_multiplier\": 0", SNUG_EUNSUPPORTED,
         "multiplier of 0"},
        {"GraniteMoeHybridForCausalLM", ", \"position_embedding_type\": \"alibi\"",
         SNUG_EUNSUPPORTED, "position_embedding_type"},
        {"Lfm2ForCausalLM", ", \"num_hidden_layers\": 1, \"layer_types\": [\"ring\"]",
         SNUG_EUNSUPPORTED, "ring"},
        {"NemotronHForCausalLM", ", \"hybrid_override_pattern\": \"M*X\"", SNUG_EUNSUPPORTED,
         "\"X\""},
        {"NemotronHForCausalLM", ", \"hybrid_override_pattern\": \"M*\", \"moe_latent_size\": 64",
         SNUG_EUNSUPPORTED, "moe_latent_size"},
        {"NemotronHForCausalLM", "", SNUG_ELIMIT, "hybrid_override_pattern"},
        {"Qwen3_5ForCausalLM", ", \"attn_output_gate\": false", SNUG_EUNSUPPORTED,
         "attn_output_gate"},
        {"Qwen3NextForCausalLM", ", \"linear_num_key_heads\": 7", SNUG_EINVAL, "7 key heads"},
        {"Gemma3nForCausalLM", ", \"intermediate_size\": [1, 2]", SNUG_EINVAL, "intermediate_size"},
        {"Gemma3nForCausalLM", ", \"altup_active_idx\": 4", SNUG_ELIMIT, "altup_active_idx"},
        {"Gemma3nForCausalLM", ", \"activation_sparsity_pattern\": 1.0", SNUG_EINVAL,
         "activation_sparsity_pattern"},
        {"Gemma4ForCausalLM", ", \"num_kv_shared_layers\": 30", SNUG_ELIMIT,
         "num_kv_shared_layers"},
        {"Gemma4ForCausalLM", ", \"per_layer_config\": {\"5\": {\"hidden_size\": 3}}",
         SNUG_EUNSUPPORTED, "hidden_size"},
        {"Gemma4ForCausalLM", ", \"use_bidirectional_attention\": \"left\"", SNUG_EUNSUPPORTED,
         "use_bidirectional_attention"},
        {"MiniMaxM2ForCausalLM", ", \"rotary_dim\": 63", SNUG_EINVAL, "rotary_dim"},
        {"Ernie4_5_MoeForCausalLM", ", \"use_bias\": true", SNUG_EUNSUPPORTED, "use_bias"},
        {"MptForCausalLM", ", \"attn_config\": {\"prefix_lm\": true}", SNUG_EUNSUPPORTED,
         "prefix_lm"},
        {"MixtralForCausalLM", ", \"num_experts_per_tok\": 9", SNUG_EINVAL, "9 experts"},
        {"MixtralForCausalLM", ", \"num_local_experts\": 100000", SNUG_ELIMIT, "num_local_experts"},
        {"DeepseekV3ForCausalLM", ", \"n_group\": 7", SNUG_EINVAL, "groups"},
        {"DeepseekV2ForCausalLM", ", \"n_routed_experts\": 64, \"topk_method\": \"noaux_tc\"",
         SNUG_EUNSUPPORTED, "noaux_tc"},
        {"T5ForConditionalGeneration", ", \"feed_forward_proj\": \"gated-mish\"", SNUG_EUNSUPPORTED,
         "gated-mish"},
        {"BartForConditionalGeneration", ", \"decoder_attention_heads\": 8", SNUG_EUNSUPPORTED,
         "8 to write"},
        {"Phi3ForCausalLM",
         ", \"rope_parameters\": {\"rope_type\": \"longrope\", \"short_factor\": [1], "
         "\"long_factor\": [1]}",
         SNUG_EINVAL, "short_factor"},
    };
    model_shape s;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        snug_status st = parse(cases[i].class_name, cases[i].more, &s);
        if (st != cases[i].st)
            fail_msg("%s%s gives %s (%s)", cases[i].class_name, cases[i].more, snug_status_name(st),
                     st == SNUG_OK ? "" : err.msg);
        if (strstr(err.msg, cases[i].named) == NULL)
            fail_msg("\"%s\" does not name %s", err.msg, cases[i].named);
    }
}

static void test_no_class(void **state)
{
    (void)state;
    model_shape              s;
    snug_json                config;
    static const char *const texts[] = {"{}", "{\"architectures\": null}",
                                        "{\"architectures\": [3]}", "[]", "3"};
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(snug_json_parse(a, snug_str(texts[i]), NULL, &config, NULL), SNUG_OK);
        assert_int_equal(model_parse(config, SNUG_EMPTY, &s, &err), SNUG_EINVAL);
    }
    assert_int_equal(snug_json_parse(a, SNUG_LIT("{}"), NULL, &config, NULL), SNUG_OK);
    assert_int_equal(model_parse(config, SNUG_LIT("LlamaModel"), &s, &err), SNUG_OK);
    assert_string_equal(s.class_name, "LlamaModel");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),      cmocka_unit_test(test_labels),
        cmocka_unit_test(test_rope_dialects), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_no_class),
    };
    return cmocka_run_group_tests(tests, new_arena, drop_arena);
}
